"""The dispatcher by itself: without a broker it waits, with one it takes up what was left."""

from __future__ import annotations

import pytest
from structlog.testing import CapturingLogger

from tests.databases import free_port
from tests.integration.test_farm_books import DONE, Rig
from tests.serving import until
from watcher.embedded.executor import Books
from watcher.embedded.farm.claims import ENDED, Verdict
from watcher.embedded.farm.dispatcher import farm


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.store.close()


def hired(rig, url):
    log = CapturingLogger()
    return farm(url, log)(Books(rig.store, rig.folders, rig.told.append)), log


def test_without_a_broker_jobs_wait_and_can_be_cancelled(rig):
    kept, dropped = rig.job(), rig.job()
    executor, log = hired(rig, f"redis://:hush-hush@127.0.0.1:{free_port()}/0")
    executor.recover(rig.store.unfinished())
    try:
        told = until(lambda: [call.kwargs for call in log.calls], what="its word on the broker")[0]
        assert told["where"] == "broker"
        assert "hush-hush" not in str(log.calls)
        executor.cancel(dropped)
        assert rig.told == [dropped]
    finally:
        executor.close()
    assert rig.store.get(kept).status == "PENDING"


def test_what_ended_or_began_while_nobody_looked_is_taken_up(rig, redis_server):
    ended, begun, waiting = rig.job(), rig.job(), rig.job()
    assert rig.referee.begin(ended, 1, 5.0)
    rig.judged(ended, 1, Verdict(kind=ENDED, began=5.0, outcome=DONE))
    assert rig.claims.claim(begun, 1, "w")
    executor, _ = hired(rig, redis_server.url)
    executor.recover(rig.store.unfinished())
    try:
        until(lambda: rig.told == [ended], what="the end that was missed")
        assert rig.store.get(begun).status == "STARTED"
        rig.claims.judge(begun, 1, Verdict(kind=ENDED, began=6.0, outcome=DONE))
        until(lambda: rig.told == [ended, begun], what="the silent one to be looked at")
        executor.cancel(waiting)
        assert not rig.claims.claim(waiting, 1, "late")
    finally:
        executor.close()
