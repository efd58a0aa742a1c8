"""The next version of a record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import build
from watcher.core.changed import changed


@pytest.mark.parametrize("record", [build.file(), build.job(), build.file(path="b", version=3)])
def test_it_means_replace(record):
    assert changed(record, version=9) == replace(record, version=9)
    assert changed(record) == record


def test_a_field_that_is_none_is_refused():
    with pytest.raises(TypeError):
        changed(build.file(), colour="red")
