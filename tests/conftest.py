"""What tests of several folders share: servers that are started once for all of them."""

from __future__ import annotations

import pytest

from tests.databases import postgres, redis


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server with an empty database."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server():
    """A Redis server with a password; those who stop or empty it start one of their own."""
    with redis() as server:
        yield server
