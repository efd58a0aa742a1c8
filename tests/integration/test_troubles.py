"""What is said of troubles, who is waited for, and what taken-away files look like."""

from __future__ import annotations

import fcntl
import io
import json
import os
import threading

import pytest

from tests.fakes.clock import FakeClock
from watcher.daemon import logs
from watcher.daemon.lock import Watchman, lock_state
from watcher.daemon.troubles import SAY_EVERY, Troubles, waited_for
from watcher.errors import LedgerAway, LedgerDamaged, StateTaken


class Said:
    """Troubles with what they wrote."""

    def __init__(self) -> None:
        self.out, self.clock = io.StringIO(), FakeClock()
        self.troubles = Troubles(logs.configure(form="json", stream=self.out), self.clock)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.out.getvalue().splitlines()]


def test_one_trouble_is_one_line_a_minute_and_its_end_another():
    said = Said()
    for _ in range(10):
        said.troubles.tell("ledger", LedgerAway("no space"))
    said.troubles.tell("ledger", LedgerAway("locked"))
    said.clock.advance(SAY_EVERY)
    said.troubles.tell("ledger", LedgerAway("locked"))
    assert said.events() == ["trouble"] * 3
    for _ in range(2):
        said.troubles.over("ledger")
    assert said.events()[3:] == ["trouble.over"]


def test_a_ledger_that_is_away_is_waited_for_and_a_damaged_one_is_not():
    said, answers = Said(), [LedgerAway("locked"), "opened"]

    def opening() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert waited_for(opening, said.troubles, 60.0) == "opened"
    assert said.events() == ["trouble", "trouble.over"]
    for error in (LedgerDamaged("damaged"), LedgerAway("locked")):
        answers[:] = [error]
        with pytest.raises(type(error)):
            waited_for(opening, said.troubles, 0.0)


def test_who_asks_for_a_daemon_keeps_none_from_starting(tmp_path):
    asking = (tmp_path / "lock").open("a+")
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.2, asking.close).start()  # paused between its lock and its end
    lock_state(tmp_path).close()


def test_a_state_folder_that_another_daemon_has_is_refused(tmp_path):
    with (
        lock_state(tmp_path),
        pytest.raises(StateTaken, match=f"process {os.getpid()}"),
    ):
        lock_state(tmp_path)


@pytest.mark.parametrize("how", ["removed", "replaced", "emptied"])
def test_the_watchman_misses_what_was_taken_away(tmp_path, how):
    kept = tmp_path / "ledger"
    kept.write_text("x")
    with lock_state(tmp_path) as held, kept.open():  # an open file's inode is not given again
        watchman = Watchman(held, tmp_path)
        watchman.keep([kept, tmp_path / "never there"])
        take_away(kept, how)
        assert watchman.ousted()
        assert "ledger was removed, replaced or emptied" in str(watchman.error())


def take_away(kept, how):
    if how != "emptied":
        kept.unlink()
    if how == "replaced":
        kept.write_text("x")
    if how == "emptied":
        kept.write_text("")


def test_the_watchman_is_content_while_all_is_there_and_tells_a_lost_folder(tmp_path):
    held = lock_state(tmp_path)
    watchman = Watchman(held, tmp_path)
    assert not watchman.ousted()
    (tmp_path / "lock").unlink()
    watchman = Watchman(held, tmp_path)
    assert watchman.ousted()
    assert isinstance(watchman.error(), StateTaken)
    assert "state folder was removed" in str(watchman.error())
    held.close()
