"""What tests of several folders share: servers that are started once for all of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import postgres, redis

# how long an example takes says how busy the machine is, and nothing of what it tries; all else is
# as the profile has it that Hypothesis chose, which differs under CI
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


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
