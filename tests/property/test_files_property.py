"""Whatever is done in whatever order, disk and memory tell the same story."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.files import MemoryFiles
from watcher import content
from watcher.adapters.files import LocalFiles
from watcher.core.model import Fingerprint
from watcher.core.ports import Placement
from watcher.errors import FileError

NAMES = st.sampled_from(
    ["a", "A", "b.glb", "d", "d/a", "d/e/a", "\udcff\n", "../x", "", "caf\u00e9"]
)
BODIES = st.sampled_from([b"", b"1", b"22"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, BODIES, st.booleans()),
    st.tuples(st.just("publish"), NAMES, BODIES, st.booleans(), st.booleans()),
    st.tuples(st.just("copy"), NAMES),
    st.tuples(st.just("archive"), NAMES, NAMES, st.booleans()),
    st.tuples(st.just("remove"), NAMES, st.booleans()),
    st.tuples(st.just("free"), NAMES),
    st.tuples(st.just("find"), NAMES),
)


class Place:
    """One implementation with its roots; each step answers with a value or an error's name."""

    def __init__(self, files, base: Path):
        self.files, self.base = files, base
        self.output, self.state, self.kept = base / "out", base / "state", base / "kept"
        for root in (self.output, self.state, self.kept):
            files.add_folder(root) if isinstance(files, MemoryFiles) else root.mkdir()

    def do(self, step):
        try:
            return getattr(self, step[0])(*step[1:])
        except FileError as error:
            return type(error).__name__

    def write(self, name, body, replacing):
        self.files.write(self.output, name, body, replace=replacing)

    def publish(self, name, body, replacing, resumed):
        into = self.files.staging(self.output, self.state, "t")
        self.files.write(into, "o", body)
        digest = content.digest(io.BytesIO(body))
        placement = Placement(into / "o", name, len(body), digest, replace=replacing)
        self.files.publish(self.output, [replace(placement, resumed=resumed)])

    def copy(self, name):
        into = self.files.staging(self.output, self.state, "t")
        return self.files.stage_copy(self.output, name, into, "copy")

    def expected(self, name, right):
        facts = self.files.look(self.output, name) if right else None
        return facts.fingerprint if facts else Fingerprint(99, 99)

    def archive(self, name, target, right):
        expect = self.expected(name, right)
        if self.files.look(self.kept, target) is None:
            self.files.archive(self.output, name, expect, self.kept, target)

    def remove(self, name, right):
        self.files.remove(self.output, name, self.expected(name, right))

    def free(self, name):
        return self.files.free_name(self.output, name)

    def find(self, name):
        return self.files.find(self.output, "", name)

    def tree(self):
        return {
            f"{listing.directory}/{entry.name}": self.files.digest(
                self.base, f"{listing.directory}/{entry.name}"
            )
            for listing in self.files.walk(self.base)
            for entry in listing.files
            if not listing.directory.startswith("state")
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_disk_and_memory_agree(steps):
    with tempfile.TemporaryDirectory() as folder:
        disk = Place(LocalFiles(), Path(folder))
        memory = MemoryFiles()
        memory.add_folder(Path("/m"))
        fake = Place(memory, Path("/m"))
        for step in steps:
            assert disk.do(step) == fake.do(step), step
        assert disk.tree() == fake.tree()


@given(st.text(max_size=30))
def test_no_reference_is_ever_found_outside(name):
    files = MemoryFiles()
    files.add(Path("/secret"), b"")
    files.add(Path("/r/in/a"), b"")
    try:
        found = files.find(Path("/r/in"), "", name)
    except FileError:
        return
    assert found in {None, "a"}
