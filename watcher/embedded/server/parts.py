"""A form that arrives in pieces: fields into memory, files straight to disk.

Imports python-multipart, ``watcher.errors`` and the package's ``disk``; called from worker threads.
Invariants: memory does not grow with a file; a form that is cut short is no form; a file's name is
the last component of what was sent, and is proved to be a name.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from watcher.embedded.server.disk import trouble
from watcher.errors import Refused

FIELD_MOST = 1 << 20  # bytes of one field, as on the real server
PARTS_MOST = 1000
FILES = ("script", "file")


class BadForm(Exception):
    """The body is no form; the text is for the caller."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form, as it lies on disk, durably."""

    name: str
    path: Path
    size: int


@dataclass(slots=True)
class Form:
    """What was sent: the last field and the last file of each name."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)


class Parts:
    """Takes a multipart body block by block.

    Args:
        boundary: of the content type.
        place: an empty folder for the files.
    """

    def __init__(self, boundary: bytes, place: Path) -> None:
        self.form = Form()
        self._place = place
        self._count = 0
        self._ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._part = _Part("", None)
        self._file: IO[bytes] | None = None
        self._parser = self._made(boundary)

    def _made(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._open,
                    "on_part_data": self._data,
                    "on_part_end": self._close,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadForm("Invalid multipart data.") from error

    def feed(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            BadForm: this is no multipart body.
            Refused: a field is too long, or a file has no usable name.
            NoSpace: the disk is full.
            Unreachable: it cannot be written for another reason.
        """
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise BadForm("Invalid multipart data.") from error
        except OSError as error:
            raise trouble(error, "the upload was not kept") from error

    def finish(self) -> Form:
        """The whole form; ``BadForm`` when its end has not come."""
        if not self._ended:
            raise BadForm("Invalid multipart data.")
        return self.form

    def close(self) -> None:
        """Let go of a file that was being written."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk tells so again
                self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._count += 1
        if self._count > PARTS_MOST:
            raise Refused(f"the form has more than {PARTS_MOST} parts")
        self._headers, self._name, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise BadForm("Invalid multipart data.")
        filename = options.get(b"filename")
        self._part = _Part(_text(options[b"name"]), None if filename is None else _text(filename))
        if self._part.is_file:
            self._file = (self._place / str(self._count)).open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
        elif part.filename is None:
            if part.size > FIELD_MOST:
                raise Refused(f"a field holds at most {FIELD_MOST} bytes", where=part.name[:80])
            part.value += data[start:end]

    def _close(self) -> None:
        part = self._part
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._keep(part)
        elif part.filename is None:
            self.form.fields[part.name] = part.value.decode(errors="replace")

    def _keep(self, part: _Part) -> None:
        path = self._place / str(self._count)
        earlier = self.form.files.pop(part.name, None)
        if earlier is not None:
            earlier.path.unlink()
        if part.filename or part.size:  # a browser sends an empty part where nothing was chosen
            self.form.files[part.name] = Upload(base_name(part.filename or ""), path, part.size)

    def _end(self) -> None:
        self._ended = True


@dataclass(slots=True)
class _Part:
    name: str
    filename: str | None
    size: int = 0
    value: bytearray = field(default_factory=bytearray)

    @property
    def is_file(self) -> bool:
        """Whether it is a file that a job can use; others are read over."""
        return self.filename is not None and self.name in FILES


def base_name(sent: str) -> str:
    """The last component of a name; ``Refused`` when that is none."""
    name = sent.rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name or len(os.fsencode(name)) > 255:  # noqa: PLR2004
        raise Refused(f"Invalid file name {sent[:80]!r}")
    return name


def urlencoded(body: bytes) -> Form:
    """The form of an ``application/x-www-form-urlencoded`` body."""
    try:
        found = parse_qsl(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=PARTS_MOST
        )
    except ValueError as error:
        raise Refused(f"the form has more than {PARTS_MOST} fields") from error
    return Form(fields=dict(found))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
