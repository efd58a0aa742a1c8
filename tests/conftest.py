"""What tests of several folders share: servers that are started once for all of them."""

from __future__ import annotations

import pytest

from tests.databases import postgres


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server with an empty database."""
    with postgres() as server:
        yield server
