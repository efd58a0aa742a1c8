"""One fault at every system call of every act of ``LocalFiles``; run below a preloaded library.

Usage: ``LD_PRELOAD=faulty.so python -m tests.sweep FOLDER OTHER``, the two on different file
systems. Each act is done in fresh folders with a fault at its n-th call, for n from 1 until it
comes through without one. After each: what stands under a final name is whole, the source is
somewhere, the error is one of ours; and the same act done again, without a fault, ends as if there
had been none. Prints one JSON line: how often each act was tried.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from watcher.adapters.files import LocalFiles
from watcher.core.ports import Placement
from watcher.errors import FileError

OLD, NEW = b"old" * 1000, b"new!" * 100_000
FAULTY = ctypes.CDLL(None)
FILES = LocalFiles()
ROOTS = ("in", "out", "state", "kept")


class Stage:
    """Fresh folders with a source, and what an act of them must come to."""

    def __init__(self, base: Path, other: Path, name: str) -> None:
        for root in (base, other):
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
        self.base, self.other = base, other
        for root in ROOTS:
            (base / root).mkdir()
        (base / "in/a").write_bytes(NEW)
        if name == "replace":
            (base / "out/a").write_bytes(OLD)
        self.expect = FILES.look(base / "in", "a").fingerprint
        self.digest = FILES.digest(base / "in", "a")

    # ------------------------------------------------------------ the acts
    def deliver(self) -> None:
        """Stage a copy and publish it; the second time as recovery does."""
        into = FILES.staging(self.base / "out", self.base / "state", "t")
        made = FILES.stage_copy(self.base / "in", "a", into, "1")
        placement = Placement(into / "1", "d/e/a", made.size, made.digest, resumed=True)
        FILES.publish(self.base / "out", [placement])
        FILES.discard(self.base / "out", self.base / "state", "t")

    def deliver_across(self) -> None:
        """As before, where the state is on another disk than the output."""
        into = FILES.staging(self.base / "out", self.other, "t")
        made = FILES.stage_copy(self.base / "in", "a", into, "1")
        placement = Placement(into / "1", "a", made.size, made.digest, resumed=True)
        FILES.publish(self.base / "out", [placement])
        FILES.discard(self.base / "out", self.other, "t")

    def replace(self) -> None:
        """Publish over what stood there."""
        into = FILES.staging(self.base / "out", self.base / "state", "t")
        FILES.stage_copy(self.base / "in", "a", into, "1")
        placement = Placement(into / "1", "a", len(NEW), self.digest, replace=True, resumed=True)
        FILES.publish(self.base / "out", [placement])
        FILES.discard(self.base / "out", self.base / "state", "t")

    def archive(self) -> None:
        FILES.archive(self.base / "in", "a", self.expect, self.base / "kept", "d/a")

    def archive_across(self) -> None:
        FILES.archive(self.base / "in", "a", self.expect, self.other, "d/a")

    def quarantine(self) -> None:
        """Move a failed source, then say why."""
        FILES.archive(self.base / "in", "a", self.expect, self.base / "kept", "a")
        FILES.write(self.base / "kept", "a.error.txt", b"why")

    def remove(self) -> None:
        FILES.remove(self.base / "in", "a", self.expect)

    # ------------------------------------------------------------ what must hold
    def seen(self) -> dict[str, bytes]:
        """What people see: every name that is not hidden, and the hidden ones of the input."""
        found = {}
        for root in (*(self.base / name for name in ROOTS), self.other):
            for place, folders, names in os.walk(root):
                if root.name == "state" or "staging" in place:
                    continue
                folders[:] = [name for name in folders if not name.startswith(".")]
                for name in names:
                    path = Path(place, name)
                    found[f"{root.name}/{path.relative_to(root)}"] = path.read_bytes()
        return found

    def visible(self) -> dict[str, bytes]:
        return {k: v for k, v in self.seen().items() if not Path(k).name.startswith(".")}


def armed(act: Callable[[], None], at: int, number: int) -> tuple[BaseException | None, bool]:
    """The act with a fault at its n-th call: what it raised, and whether it came to the fault."""
    calls, kinds = ctypes.c_int.in_dll(FAULTY, "fault_calls"), "fault_at"
    ctypes.c_int.in_dll(FAULTY, "fault_errno").value = number
    ctypes.c_int.in_dll(FAULTY, "fault_writes_only").value = int(number == errno.ENOSPC)
    calls.value = 0
    ctypes.c_int.in_dll(FAULTY, kinds).value = at
    told: BaseException | None = None
    try:
        act()
    except BaseException as error:  # noqa: BLE001  (judged by the caller)
        told = error
    finally:
        ctypes.c_int.in_dll(FAULTY, kinds).value = 0
    return told, calls.value >= at


def swept(name: str, number: int, base: Path, other: Path) -> int:
    """All faults of one kind in one act; how many there were."""
    for at in range(1, 1000):
        stage = Stage(base, other, name)
        act = getattr(stage, name)
        told, came = armed(act, at, number)
        where = f"{name}, {errno.errorcode[number]} at call {at}: {told!r}"
        assert told is None or isinstance(told, FileError), where
        after = stage.visible()
        assert all(body in (OLD, NEW, b"why") for body in after.values()), where
        assert name == "remove" or any(body == NEW for body in stage.seen().values()), where
        act()
        clean = stage.seen()
        plain = Stage(base, other, name)
        getattr(plain, name)()
        assert clean == plain.seen(), (where, sorted(clean))
        if not came:
            assert told is None, where
            return at - 1
    raise AssertionError(f"{name} does not end")


def main() -> None:
    base, other = Path(sys.argv[1]), Path(sys.argv[2])
    acts = ("deliver", "deliver_across", "replace", "archive", "archive_across", "quarantine")
    tried = {}
    for name in (*acts, "remove"):
        getattr(Stage(base, other, name), name)()  # whatever is imported late is imported now
        for number in (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            tried[f"{name} {errno.errorcode[number]}"] = swept(name, number, base, other)
    print(json.dumps(tried))  # noqa: T201  (the answer)


if __name__ == "__main__":
    main()
