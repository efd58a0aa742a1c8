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
from watcher.errors import ConfigError, WatcherError

COMMANDS = {
    "init": "operate",
    "run": "operate",
    "check": "operate",
    "schema": "operate",
    "plan": "plan",
    "files": "ledger",
    "explain": "ledger",
    "retry": "ledger",
    "demo": "demo",
}


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
        """Import one command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(f"watcher.cli.{module}"), cmd_name)
        return found if isinstance(found, click.Command) else None


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `watcher demo`, then `watcher init` and `watcher run`.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks and debug logs.")
@click.version_option(__version__, prog_name="watcher")
@click.pass_context
def cli(ctx: click.Context, verbose: bool) -> None:  # noqa: FBT001  (click passes flags so)
    """Drop 3D and CAD files into folders; find GLB, thumbnails and metadata in others."""
    ctx.ensure_object(dict)["verbose"] = verbose


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command and exit with the contract's code."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command; the exit code is returned."""
    words = sys.argv[1:] if args is None else args
    verbose = "-v" in words or "--verbose" in words
    try:
        result = cli.main(args=words, prog_name="watcher", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        return _bad_usage(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("watcher: interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK
    except WatcherError as error:
        if verbose:
            traceback.print_exc()
        say(error)
        return error.exit_code
    return int(result) if isinstance(result, int) else ExitCode.OK


def _bad_usage(error: click.ClickException) -> int:
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
    click.echo(f"watcher: {error}", err=True)


def say_json(error: WatcherError) -> None:
    """As ``say``, as JSON lines: what ``run`` does off a terminal."""
    problems = list(error.problems) if isinstance(error, ConfigError) else []
    row = {"event": "error", "level": "error", "error": str(error), "problems": problems}
    click.echo(json.dumps(row), err=True)
