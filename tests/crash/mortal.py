"""The real daemon, built from its public parts, that kills itself with SIGKILL at its n-th step.

Run by the zygote. A step is a call that changes something: a commit
of the ledger, an effect on the files, a call of the scheduler. A run that survives prints how many
there were as its last line, and exits with 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from watcher.config.load import load
from watcher.daemon import logs
from watcher.daemon.service import Service
from watcher.daemon.world import World

STEPS = {
    "apply",
    "submit",
    "fetch",
    "forget",
    "cancel",
    "staging",
    "stage_copy",
    "stage_lone",
    "publish",
    "publish_each",
    "archive",
    "remove",
    "write",
    "discard",
}


class Counter:
    def __init__(self, at: int, when: str) -> None:
        self.at, self.when = at, when
        self.count = 0
        self.lock = threading.Lock()

    def around(self, call):
        def counted(*args, **kwargs):
            with self.lock:
                self.count += 1
                mine = self.count
            if mine == self.at and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args, **kwargs)
            if mine == self.at and self.when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


class Mortal:
    """Anything, with its steps counted."""

    def __init__(self, real, counter: Counter) -> None:
        self._real, self._counter = real, counter

    def __getattr__(self, name):
        found = getattr(self._real, name)
        return self._counter.around(found) if name in STEPS else found


def life(config: str, at: int, when: str) -> int:
    """One life, which may end in the middle; its last line says how many steps there were."""
    settings = load(Path(config), os.environ).settings
    counter = Counter(int(at), when)
    service = Service(settings, logs.configure(form="json", stream=sys.stdout))
    service.engine.books.ledger = Mortal(service.ledger, counter)
    backends = {name: Mortal(one, counter) for name, one in service.backends.items()}
    service.hands._world = World(settings, backends, Mortal(service.files, counter))
    service.run_once(30.0)
    print(counter.count)  # noqa: T201 - the answer
    return 0
