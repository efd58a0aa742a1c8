"""docs/client.md is true: its commands parse, its options exist, its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.command import watcher
from tests.replay import Replay
from watcher.cli.app import CLIENT, cli

TEXT = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
LINES = re.findall(r"^\$ (watcher .*)$", TEXT, re.MULTILINE)


def test_every_command_of_the_client_is_shown():
    told = {word for line in LINES for word in line.split()}
    assert set(CLIENT) <= told


@pytest.mark.parametrize("line", LINES)
def test_the_lines_are_understood(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("part.step", "script.py"):
        (tmp_path / name).write_text("def main(pc, params): pass")
    (tmp_path / "params.json").write_text("{}")
    with Replay() as server:
        words = shlex.split(line, comments=True)[1:]
        words += ["--patience", "0"] if "-w" in words else []
        done = watcher(
            *[server.url if word.startswith("http") else word for word in words],
            *([] if "-u" in words else ["-u", server.url]),
        )
        assert done.code == 3, done.err  # understood and sent; this server knows nothing
        assert server.asked


@pytest.mark.parametrize("name", sorted(CLIENT))
def test_every_command_has_an_example_that_it_understands(name):
    command = cli.get_command(click.Context(cli), name)
    assert f"watcher {name}" in command.epilog or name == "list"
    shown = watcher(name, "--help").out
    assert "Example" in shown
    for option in ("--url", "--token", "--ca", "--insecure", "--json", "--verbose"):
        assert option in shown


def test_the_options_that_the_page_names_exist():
    known = {"--help"}
    for name in CLIENT:
        command = cli.get_command(click.Context(cli), name)
        known |= {word for param in command.params for word in param.opts}
    told = set(re.findall(r"`(--?[a-z][a-z-]*)", TEXT))
    assert told <= known


def test_the_python_runs():
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    with Replay() as server:
        server.runs()
        exec(compile(code.replace("http://farm:8001", server.url), "client.md", "exec"), {})  # noqa: S102
        assert server.form()["process"][1] == b"api_test"
