"""The ledger on a real PostgreSQL server: what goes wrong with servers, in an operator's words."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.contract.test_ledger import accept, save
from watcher.adapters.ledger import open_ledger
from watcher.errors import LedgerUnusable


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
