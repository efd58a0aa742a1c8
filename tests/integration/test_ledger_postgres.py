"""The ledger on a real PostgreSQL server: what goes wrong with servers, in an operator's words."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from tests.contract.test_ledger import accept, save
from watcher.adapters.ledger import open_ledger
from watcher.adapters.ledger.engines import PAUSED, postgres_engine
from watcher.adapters.ledger.troubles import told
from watcher.errors import LedgerAway, LedgerUnusable


@pytest.fixture
def url(postgres_server):
    return postgres_server.emptied()


@pytest.fixture
def opened():
    made = []

    def opening(url, *, read_only=False):
        made.append(open_ledger(Path(), read_only=read_only, url=url))
        return made[-1]

    yield opening
    for ledger in made:
        ledger.close()


def test_two_open_one_ledger_and_see_each_other(opened, url):
    one, other = opened(url), opened(url)
    work = accept(one)
    assert other.work(work.file.id) == work
    assert opened(url, read_only=True).work(work.file.id) == work


def test_a_server_that_was_restarted_costs_nothing_once_it_is_back(opened, url, postgres_server):
    ledger = opened(url)
    work = accept(ledger)
    postgres_server.stop(signal.SIGQUIT)
    with pytest.raises(LedgerUnusable, match="cannot be reached"):
        ledger.work(work.file.id)
    with pytest.raises(LedgerUnusable, match="cannot be reached"):
        save(ledger, work.file, reason="x")
    postgres_server.start()
    assert ledger.work(work.file.id) == work
    assert save(ledger, work.file, reason="x").reason == "x"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/watcher", "/nowhere"), "does not exist"),
        (("tester@", "nobody@"), 'role "nobody" does not exist'),
        (("127.0.0.1:", "127.0.0.1:1"), "cannot be reached|not a PostgreSQL address"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(opened, url, change, said):
    wrong = url.replace(*change).replace("@", ":hunter2@")
    with pytest.raises(LedgerUnusable, match=said) as caught:
        opened(wrong)
    assert "hunter2" not in str(caught.value)


def test_an_empty_ledger_cannot_be_read(opened, url):
    with pytest.raises(LedgerUnusable, match="is empty"):
        opened(url, read_only=True)


def test_a_user_without_rights_is_told_so(opened, url, postgres_server):
    opened(url).close()
    postgres_server.sql(
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN;GRANT USAGE ON SCHEMA public TO guest"
    )
    with pytest.raises(LedgerUnusable, match="may not be used by this database user"):
        opened(url.replace("tester@", "guest@"), read_only=True)


def test_a_ledger_that_another_watcher_holds_up_is_waited_for(opened, url):
    opened(url).close()
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE files IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LedgerAway, match="held up by another watcher"):
            opened(url)
    assert opened(url).unfinished() == []


@pytest.fixture
def engines(url):
    pair = postgres_engine(url, writes=True), postgres_engine(url, writes=False)
    yield pair
    for engine in pair:
        engine.dispose()


def asked(connection, url):
    with told(url):
        return connection.execute(text("SELECT 1")).scalar()


def test_a_paused_writer_lets_the_others_go_on_and_a_reader_may_take_its_time(engines, url):
    writer, reader = engines
    with writer.connect() as writing, reader.connect() as reading:
        assert asked(writing, url) == asked(reading, url) == 1
        time.sleep(PAUSED + 1)
        assert asked(reading, url) == 1
        with pytest.raises(LedgerAway, match="paused"):
            asked(writing, url)
