"""The real engine over fakes, in every order: each content is delivered or failed, never both."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests import build
from tests.fakes.backend import Plan
from tests.rehearsal import Rehearsal as Studio
from watcher.core.model import FileState, Phase

PATHS = st.sampled_from(["a.step", "a.obj", "b.step"])
RULES = {
    "one job": ("echo",),
    "two jobs": ("echo", "shout"),
    "pass": ("pass",),
    "pass and a job": ("pass", "echo"),
}


class Life(RuleBasedStateMachine):
    """Files come, change and go; jobs fail; the scheduler falls silent; the daemon dies."""

    def __init__(self):
        super().__init__()
        self.dropped = []  # every content
        self.newest = {}  # the one that a path stands for; none once it was deleted unread
        self.studio = None

    @initialize(
        jobs=st.sampled_from(sorted(RULES)),
        done=st.sampled_from(["keep", "delete", "archive"]),
        retries=st.integers(0, 2),
        conflict=st.sampled_from(["own", "rename"]),
        deliver=st.sampled_from(["", "{relpath}/{hash}/{job}.txt"]),
    )
    def begin(self, jobs, done, retries, conflict, deliver):
        made = build.rule(
            *RULES[jobs], retries=retries, on_conflict=conflict, deliver=deliver, retry_after=5.0
        )
        place = build.ROOT / "archive" if done == "archive" else done
        self.studio = Studio(made, done=place)

    # ------------------------------------------------------------ the disk
    @rule(path=PATHS)
    def arrive_or_replace(self, path):
        self.newest[path] = self.studio.drop(path)
        self.dropped.append(self.newest[path])

    @rule(path=PATHS)
    def touch(self, path):
        self.studio.touch(path)

    @rule(path=PATHS)
    def delete(self, path):
        if self.studio.files.body(self.studio.folder.input / path) is not None:
            self.studio.files.take_away(self.studio.folder.input / path)
            del self.newest[path]

    @rule(root=st.sampled_from(["input", "output", "failed"]), away=st.booleans())
    def a_disk_goes_or_comes(self, root, away):
        self.studio.unmount(root, away=away)

    @rule()
    def staging_is_wiped(self):
        self.studio.files.take_away(self.studio.settings.state / "staging")

    @rule()
    def scan(self):
        self.studio.scan()

    @rule(path=PATHS)
    def event(self, path):
        self.studio.look(path)

    # ------------------------------------------------------------ the scheduler
    @rule(
        plan=st.sampled_from(
            [
                Plan(),
                Plan(fail="the file holds no geometry"),
                Plan(lose=True),
                Plan(drop_reply=True),
                Plan(unreachable=True),
                Plan(stay=Phase.RUNNING),
                Plan(stay=Phase.UNSEEN),
                Plan(refuse="no"),
            ]
        )
    )
    def what_becomes_of_jobs(self, plan):
        self.studio.farm.plan = plan

    @rule(down=st.booleans())
    def the_scheduler_falls_silent_or_is_back(self, down):
        self.studio.farm.down = down

    @rule()
    def jobs_end(self):
        self.studio.farm.finish_all()

    # ------------------------------------------------------------ the daemon
    @rule()
    def turn(self):
        self.studio.turn()

    @precondition(lambda self: self.studio and self.studio.todo)
    @rule(at=st.integers(0, 9))
    def effect(self, at):
        self.studio.do(at % len(self.studio.todo))

    @precondition(lambda self: self.studio and self.studio.todo)
    @rule(at=st.integers(0, 9))
    def effect_and_death(self, at):
        self.studio.do(at % len(self.studio.todo), told=False)
        self.studio.start()

    @precondition(lambda self: self.studio and self.studio.todo)
    @rule(at=st.integers(0, 9), after=st.booleans(), step=st.integers(1, 3))
    def death_inside_an_effect(self, at, step, after):
        self.studio.die_in(at % len(self.studio.todo), step, after=after)

    @rule()
    def death(self):
        self.studio.start()

    @rule(seconds=st.sampled_from([0.3, 2.0, 40.0, 4000.0]))
    def time_passes(self, seconds):
        self.studio.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-100_000.0, -3.0, 3.0, 100_000.0]))
    def the_wall_clock_steps(self, seconds):
        self.studio.clock.step(seconds)

    @rule(path=PATHS)
    def retry(self, path):
        record = self.studio.ledger.last_arrival("cad", path)
        if record is not None and record.state is FileState.FAILED:
            self.studio.ledger.ask("retry", {"files": [record.id]}, 0.0)
            if record.print.size:
                self.studio.farm.excused += list(self.dropped)  # a retry is another run

    # ------------------------------------------------------------ the promises
    @invariant()
    def never_both(self):
        for body in self.dropped if self.studio else ():
            assert not (self.studio.delivered(body) and self.studio.failed(body)), body

    @invariant()
    def no_second_job(self):
        farm = self.studio.farm if self.studio else None
        jobs = len(self.studio.folder.rules[0].jobs) if farm else 0
        for body in self.dropped if farm else ():
            runs, excused = farm.runs.count(body), farm.excused.count(body)
            assert runs <= jobs * (1 + excused), (body, runs, excused)

    def teardown(self):
        if self.studio is None:
            return
        self.studio.finish()
        for body in self.newest.values():
            assert self.studio.delivered(body) + self.studio.failed(body) == 1, body


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60,
    report_multiple_bugs=False,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
