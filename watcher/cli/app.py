"""The ``watcher`` command: global options, exit codes, and the one place where errors are printed.

Imports click and its neighbours; commands import what they need when they run, so that ``--help``
is quick. Invariant: every error is one line that says what, where and what to do; a traceback only
with ``-v``.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from enum import IntEnum
from typing import Any, NoReturn

import click

from watcher import __version__
from watcher.cli.connection import connection_options
from watcher.core.printing import printable
from watcher.errors import ConfigError, WatcherError

# the module of each command and its line in the list, told here so that the list needs no imports
DAEMON = {
    "init": ("operate", "Write a commented watcher.yaml and its folders."),
    "run": ("operate", "Watch the folders until SIGTERM or Ctrl-C, which drain."),
    "reload": ("operate", "Have the running daemon take up a changed configuration."),
    "doctor": ("doctor", "Check this machine and say what to mend."),
    "check": ("operate", "Validate the configuration."),
    "schema": ("operate", "Print the configuration's JSON Schema, for editors."),
    "plan": ("plan", "Show which file goes to which rule, and why others do not."),
    "files": ("ledger", "List what became of each file."),
    "explain": ("ledger", "Tell one file's whole history."),
    "retry": ("ledger", "Send failed files again."),
    "demo": ("demo", "Convert sample models below ./watcher-demo."),
    "serve": ("serve", "Serve the embedded scheduler over HTTP."),
    "worker": ("worker", "Run jobs of `serve --executor celery`."),
}
CLIENT = {
    "list": ("jobs", "List the processes of a scheduler."),
    "doc": ("jobs", "Show the documentation of a process."),
    "jobs": ("jobs", "List jobs."),
    "status": ("jobs", "Show a job's state; -w follows it to its end."),
    "details": ("jobs", "Show a job's times, steps, result and error."),
    "outputs": ("jobs", "List a job's outputs."),
    "download": ("fetch", "Download one output of a job."),
    "download_all": ("fetch", "Download all outputs of a job as a zip."),
    "exec": ("submit", "Run a Python script of yours as a job."),
    "process": ("submit", "Run a process of the scheduler as a job."),
    "convert": ("convert", "Convert a file and download the result."),
    "thumbnails": ("convert", "Draw pictures of a file and download them."),
    "metadata": ("convert", "Measure a file and print what is in it."),
}
SECTIONS = {"Watch folders": DAEMON, "Scheduler client": CLIENT}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
ALIASES = {"download-all": "download_all"}


class ExitCode(IntEnum):
    """What the command's end means to scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4
    INTERRUPTED = 130


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """All names, in the order of the day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; its function is named as it is, or with ``_`` behind."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"watcher.cli.{COMMANDS[name][0]}")
        found = getattr(module, f"{name}_", None) or getattr(module, name)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, by section."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, line) in section.items()])


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `watcher demo`, then `watcher init` and `watcher run`.",
)
@connection_options
@click.version_option(__version__, prog_name="watcher")
def cli() -> None:
    """Drop 3D and CAD files into folders; find GLB, thumbnails and metadata in others."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command and exit with the contract's code."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command; the exit code is returned."""
    words = sys.argv[1:] if args is None else args
    try:
        result = cli.main(args=words, prog_name="watcher", standalone_mode=False)
    except click.ClickException as error:
        return _bad_usage(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("watcher: interrupted", err=True)
        return ExitCode.INTERRUPTED
    except SystemExit as stop:  # a signal, completion, or click's word that nobody reads any more
        return int(stop.code or 0)
    except (WatcherError, OSError) as error:
        if "-v" in words or "--verbose" in words:
            traceback.print_exc()
        return _failed(error)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _failed(error: WatcherError | OSError) -> int:
    if isinstance(error, WatcherError):
        say(error)
        return error.exit_code
    # what no layer below has named: a full disk under stdout
    place = f"{error.filename}: " if error.filename else ""
    click.echo(f"watcher: {place}{error.strerror or error}", err=True)
    return ExitCode.FAILED


def _bad_usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help(), err=True)
        return ExitCode.USAGE
    text = error.format_message().replace("\n", " ")
    context: Any = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context else ""
    click.echo(f"watcher: {text.rstrip('.')}{hint}", err=True)
    return ExitCode.USAGE


def say(error: WatcherError) -> None:
    """Print an error to standard error; every problem of a configuration on its own line."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            click.echo(problem, err=True)
    click.echo(f"watcher: {printable(str(error))}", err=True)


def say_json(error: WatcherError) -> None:
    """As ``say``, as JSON lines: what ``run`` does off a terminal."""
    problems = list(error.problems) if isinstance(error, ConfigError) else []
    row = {"event": "error", "level": "error", "error": str(error), "problems": problems}
    click.echo(json.dumps(row), err=True)
