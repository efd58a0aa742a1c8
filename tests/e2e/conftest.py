"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.e2e.place import Mounts


@pytest.fixture
def mounts(tmp_path):
    if os.geteuid() != 0 or not shutil.which("nsenter"):
        pytest.skip("needs root, to mount")
    made = Mounts(tmp_path)
    yield made
    made.close()
