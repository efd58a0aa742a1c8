"""The error map of ``LocalFiles`` is complete, and speaks to operators."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from watcher.adapters.files.faults import Told, fault, root_fault
from watcher.errors import (
    Denied,
    FileError,
    FileGone,
    FolderOffline,
    NameTooLong,
    NoSpace,
    OutsideRoot,
    TargetExists,
)


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_errno_becomes_a_file_error_with_words_and_place(number):
    with pytest.raises(FileError) as told, Told("a/b"):
        raise OSError(number, os.strerror(number))
    assert type(told.value) is type(fault(OSError(number, ""), "a/b"))
    assert (told.value.where, bool(told.value.what)) == ("a/b", True)
    assert isinstance(told.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EROFS, Denied),
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.ENOENT, FileGone),
        (errno.ENAMETOOLONG, NameTooLong),
        (errno.ELOOP, OutsideRoot),
        (errno.EEXIST, TargetExists),
        (errno.EISDIR, TargetExists),
        (errno.EIO, FolderOffline),
        (errno.ESTALE, FolderOffline),
        (errno.EHOSTDOWN, FolderOffline),
        (errno.ETIMEDOUT, FolderOffline),
        (errno.ENOTCONN, FolderOffline),
        (errno.ENODEV, FolderOffline),
        (errno.EMFILE, FileError),
    ],
)
def test_the_class_says_whether_waiting_helps(number, kind):
    assert type(fault(OSError(number, "x"), "a")) is kind


def test_an_error_without_a_number_is_mapped_too():
    assert type(fault(OSError("odd"), "a")) is FileError


def test_an_absent_root_is_offline_and_a_closed_one_is_denied(tmp_path):
    assert type(root_fault(OSError(errno.ENOENT, "x"), tmp_path)) is FolderOffline
    denied = root_fault(OSError(errno.EACCES, "x"), tmp_path)
    assert type(denied) is Denied
    assert "mode=0700" in denied.what
    assert type(root_fault(OSError(errno.EACCES, "x"), Path("/no"))) is Denied


def test_names_are_printed_harmlessly():
    where = fault(OSError(errno.EIO, "x"), "a\n\udcff").where
    assert where.startswith("a\\n\\")
    assert where.isascii()
    assert where.isprintable()


def test_what_is_no_os_error_passes():
    with pytest.raises(ZeroDivisionError), Told("a"):
        raise ZeroDivisionError
