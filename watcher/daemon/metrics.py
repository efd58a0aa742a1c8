"""The daemon's figures in the Prometheus text format.

Imports prometheus-client and core. Invariant: labels are names from the configuration and states
only, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from watcher.core.model import FileState
from watcher.daemon.health import Health


@dataclass(frozen=True, slots=True, eq=False)
class Figures(Collector):
    """What one scrape shows; the library demands the base class."""

    health: Health
    counts: Mapping[tuple[str, FileState], int]

    def collect(self) -> Iterator[Metric]:
        """The families, as the library asks for them."""
        files = GaugeMetricFamily("watcher_files", "Files known.", labels=["folder", "state"])
        for (folder, state), count in self.counts.items():
            files.add_metric([folder, state.value], count)
        yield files
        yield from self._schedulers()
        online = GaugeMetricFamily("watcher_root_online", "1 while it is.", labels=["folder"])
        for name, root in self.health.roots.items():
            online.add_metric([name], int(root.online))
        yield online
        yield CounterMetricFamily(
            "watcher_delivered", "Files delivered since the start.", value=self.health.delivered
        )
        yield CounterMetricFamily(
            "watcher_failed", "Files failed since the start.", value=self.health.failed
        )
        yield GaugeMetricFamily(
            "watcher_engine_beat_age_seconds", "Since its last turn.", value=self.health.beat_age
        )

    def _schedulers(self) -> Iterator[Metric]:
        flying = GaugeMetricFamily("watcher_in_flight", "Jobs unfinished.", labels=["scheduler"])
        shut = GaugeMetricFamily("watcher_breaker_open", "1 while open.", labels=["scheduler"])
        for name, one in self.health.schedulers.items():
            flying.add_metric([name], one.in_flight)
            shut.add_metric([name], int(bool(one.trouble)))
        yield flying
        yield shut


def exposition(health: Health, counts: Mapping[tuple[str, FileState], int]) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(health, counts))
    return generate_latest(registry)
