"""The README is executable: its configuration loads, its commands exist, its figures are none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from watcher.cli.app import COMMANDS
from watcher.config.load import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TOLD = "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))


def test_the_configuration_in_the_readme_is_valid(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    config = tmp_path / "watcher.yaml"
    config.write_text(text)
    settings = load(config, {}).settings
    assert [rule.name for rule in settings.folders[0].rules] == ["models", "the-rest"]


def test_the_readme_names_only_commands_that_exist():
    told = set(re.findall(r"\bwatcher ([a-z]+)", TOLD))
    assert told
    assert told <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name):
    done = subprocess.run(
        [sys.executable, "-m", "watcher", name, "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 3


def test_no_command_is_bad_usage():
    done = subprocess.run(
        [sys.executable, "-m", "watcher"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "Usage" in done.stderr
    assert not done.stdout


def test_the_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_the_sample_configurations_pass_check(path):
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "check", "-c", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


def test_every_runtime_dependency_has_a_line_in_the_readme():
    project = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)[1]
    block += re.search(r"^embedded = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)[1]
    names = re.findall(r'"([A-Za-z0-9-]+)', block)
    assert names
    assert [name for name in names if name.lower() not in README.lower()] == []
