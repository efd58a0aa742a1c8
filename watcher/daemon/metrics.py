"""The daemon's figures in the Prometheus text format.

Imports prometheus-client and core. Invariant: labels are names from the configuration and states
only, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from watcher.core.model import FileState
from watcher.core.ports import Change, NewFile, SaveFile, SaveJob
from watcher.daemon.health import Health
from watcher.daemon.sightings import ScanDone

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)


class Meters:
    """What is counted as it happens; the rest is asked of health and ledger at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._children: dict[tuple[object, ...], Histogram] = {}
        self._file = Histogram(
            "watcher_file_seconds", "From accepted to delivered.", ["folder", "rule"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._stage = Histogram(
            "watcher_stage_seconds", "Time that a job spent in a state.", ["stage"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._settle = Histogram(
            "watcher_accept_seconds", "From the last write of a file to its acceptance.",
            ["folder"], buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._scan = Histogram(
            "watcher_scan_seconds", "Full scans of a whole input folder.", ["folder"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._unannounced = Counter(
            "watcher_found_by_scan_alone", "Files that the watch should have told of.",
            ["folder"], registry=self.registry,
        )  # fmt: skip

    def _child(self, family: Histogram, *labels: str) -> Histogram:
        """One series of a family; the library's own way to it takes a lock and proves the names."""
        key = (id(family), *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = family.labels(*labels)
        return child

    def changed(self, changes: Sequence[Change]) -> None:
        """Recorded changes: how long each state lasted."""
        for change in changes:
            if isinstance(change, NewFile):
                file = change.file
                written = file.print.mtime_ns / 1e9
                self._child(self._settle, file.folder).observe(max(0.0, file.accepted_at - written))
            elif isinstance(change, SaveJob) and change.after.state is not change.before.state:
                since = change.before.changed_at or change.after.changed_at
                lasted = max(0.0, change.after.changed_at - since)
                self._child(self._stage, change.before.state.value).observe(lasted)
            elif isinstance(change, SaveFile):
                self._delivered(change)

    def _delivered(self, change: SaveFile) -> None:
        file = change.after
        if file.state is FileState.DELIVERED and change.before.state is not file.state:
            lasted = max(0.0, file.changed_at - file.accepted_at)
            self._child(self._file, file.folder, file.rule).observe(lasted)

    def scanned(self, scan: ScanDone) -> None:
        """A whole root was scanned, in full or quickly."""
        if not scan.quick:
            self._scan.labels(scan.folder).observe(scan.seconds)
        self._unannounced.labels(scan.folder).inc(scan.unannounced)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Figures(Collector):
    """What one scrape shows; the library demands the base class."""

    health: Health
    counts: Mapping[tuple[str, FileState], int]
    oldest: Mapping[str, float]  # the age in seconds of what waits longest, by folder

    def collect(self) -> Iterator[Metric]:
        """The families, as the library asks for them."""
        files = GaugeMetricFamily("watcher_files", "Files known.", labels=["folder", "state"])
        for (folder, state), count in self.counts.items():
            files.add_metric([folder, state.value], count)
        yield files
        yield from self._schedulers()
        yield from self._folders()
        yield CounterMetricFamily(
            "watcher_delivered", "Files delivered since the start.", value=self.health.delivered
        )
        yield CounterMetricFamily(
            "watcher_failed", "Files failed since the start.", value=self.health.failed
        )
        yield GaugeMetricFamily(
            "watcher_engine_beat_age_seconds", "Since its last turn.", value=self.health.beat_age
        )
        yield GaugeMetricFamily(
            "watcher_config_refused", "1 while the last reload was refused.",
            value=int(bool(self.health.refused)),
        )  # fmt: skip

    def _folders(self) -> Iterator[Metric]:
        online = GaugeMetricFamily("watcher_root_online", "1 while it is.", labels=["folder"])
        oldest = GaugeMetricFamily(
            "watcher_oldest_waiting_seconds", "Age of what waits longest.", labels=["folder"]
        )
        for name, root in self.health.roots.items():
            online.add_metric([name], int(root.online))
            oldest.add_metric([name], self.oldest.get(name, 0.0))
        yield online
        yield oldest

    def _schedulers(self) -> Iterator[Metric]:
        flying = GaugeMetricFamily("watcher_in_flight", "Jobs unfinished.", labels=["scheduler"])
        shut = GaugeMetricFamily("watcher_breaker_open", "1 while open.", labels=["scheduler"])
        for name, one in self.health.schedulers.items():
            flying.add_metric([name], one.in_flight)
            shut.add_metric([name], int(bool(one.trouble)))
        yield flying
        yield shut


def exposition(figures: Figures, meters: Meters) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    return generate_latest(registry) + generate_latest(meters.registry)
