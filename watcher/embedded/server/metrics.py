"""The jobs of the server as Prometheus samples.

Imports prometheus-client and the embedded scheduler. Invariant: counted when asked, never kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from watcher.embedded.scheduler import EmbeddedScheduler
from watcher.embedded.store import ENDED, PENDING, RETRY, RUNNING, STARTED

STATES = (PENDING, STARTED, RUNNING, RETRY, *ENDED)


class JobCounts(Collector):
    """``watcher_serve_jobs``: how many jobs are in each state."""

    def __init__(self, scheduler: EmbeddedScheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The family without samples, so that registering asks nothing."""
        yield GaugeMetricFamily("watcher_serve_jobs", "Jobs by state", labels=["status"])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every state, those without jobs too."""
        counts = self._scheduler.counts()
        for family in self.describe():
            for state in STATES:
                family.add_metric([state], counts.get(state, 0))
            yield family
