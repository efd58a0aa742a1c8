"""The example dashboard and alert rules speak of figures that ``/metrics`` really has."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from watcher.core.model import FileRecord, FileState, Fingerprint, JobRecord, JobState
from watcher.core.ports import NewFile, SaveFile, SaveJob
from watcher.daemon.health import Health, SchedulerHealth
from watcher.daemon.metrics import Figures, Meters, exposition
from watcher.daemon.sightings import RootState, ScanDone

HERE = Path(__file__).parents[2] / "config" / "monitoring"
WORD = re.compile(r"\bwatcher_\w+")
LABEL = re.compile(r"(\w+)=~?\"|by \(([^)]*)\)|\{\{\s*\$?(?:labels\.)?(\w+)")


@pytest.fixture(scope="module")
def samples():
    """Every sample of one scrape, as {name: its labels}."""
    file = FileRecord(
        id=1, folder="cad", path="a", arrival=1, state=FileState.ACCEPTED, rule="r",
        print=Fingerprint(1, 1), accepted_at=10.0,
    )  # fmt: skip
    job = JobRecord(
        id=2, file_id=1, index=0, label="j", scheduler="s", state=JobState.WAITING, changed_at=10.0
    )
    meters = Meters()
    meters.changed(
        [
            NewFile(file, (job,)),
            SaveJob(job, job._replace(state=JobState.RUNNING, changed_at=12.0)),
            SaveFile(file, file._replace(state=FileState.DELIVERED, changed_at=15.0)),
        ]
    )
    meters.scanned(ScanDone("cad", complete=True, seconds=0.1, files=3, unannounced=2))
    health = Health(
        beat_age=0.1, intake_alive=True, roots={"cad": RootState("cad", online=True)},
        schedulers={"s": SchedulerHealth(1)}, delivered=1, failed=0,
    )  # fmt: skip
    figures = Figures(health=health, counts={("cad", FileState.DELIVERED): 1}, oldest={"cad": 4.0})
    text = exposition(figures, meters).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions():
    for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads((HERE / "grafana-dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_what_is_counted_is_right(samples):
    assert samples["watcher_file_seconds_sum"] == {"folder", "rule"}
    assert samples["watcher_stage_seconds_count"] == {"stage"}
    assert samples["watcher_found_by_scan_alone_total"] == {"folder"}


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_expressions_name_what_is_there(samples, name, expression):
    words = WORD.findall(expression)
    assert words or expression.startswith("up{"), name
    assert set(words) <= set(samples)
    known = set().union(*(samples[word] for word in words)) | {"instance", "job"}
    for labels in LABEL.findall(expression):
        asked = {one.strip() for part in labels for one in part.split(",") if one.strip()}
        assert asked <= known, name


def test_every_rule_says_how_bad_it_is_and_what_it_is():
    for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert rule["annotations"]["summary"]


def test_panels_do_not_lie_over_one_another():
    taken = set()
    panels = json.loads((HERE / "grafana-dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
