"""The daemon's commands: init, run, reload, check, schema.

Imports click, ``config`` and ``daemon.service``. Invariant: ``check`` and ``run`` refuse the same
configurations.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import click

from watcher import cores
from watcher.cli.app import ExitCode, say_json
from watcher.cli.options import PATIENT, config_option, daemon_runs, loaded
from watcher.config.load import find, state_of
from watcher.config.schema import sample
from watcher.config.schema import schema as json_schema
from watcher.config.values import duration
from watcher.core.settings import Settings
from watcher.errors import ConfigError, UsageError, WatcherError


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
def init(directory: Path) -> None:
    """Write a commented watcher.yaml and its folders into DIR (default: here)."""
    target = directory / "watcher.yaml"
    if target.exists():
        raise UsageError("it is there already", where=str(target), fix="edit it, or move it away")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with target.open("x") as file:
            file.write(sample())
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(target)) from error
    settings = loaded(target).settings
    for folder in settings.folders:
        for path in (folder.input, folder.output, folder.failed, folder.done):
            if isinstance(path, Path):
                path.mkdir(parents=True, exist_ok=True)
    click.echo(f"{target}: drop files into {settings.folders[0].input}, after `watcher run`")


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Handle all that is there, then exit.")
@click.option(
    "--timeout",
    default="60s",
    show_default=True,
    help="With --once: give up after a scheduler was unreachable for so long.",
)
@click.pass_context
def run(ctx: click.Context, config: Path | None, once: bool, timeout: str) -> int:  # noqa: FBT001
    """Watch the folders until SIGTERM or Ctrl-C, which drain.

    With --once the exit code is 0 when all was delivered, 1 when something failed or remains, 3
    when a scheduler stays unreachable.
    """
    verbose = bool(ctx.obj.get("verbose"))
    try:
        patience = duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    try:
        return _run(config, patience if once else None, verbose=verbose)
    except WatcherError as error:
        if sys.stdout.isatty() or verbose:
            raise
        say_json(error)
        return error.exit_code


def _run(config: Path | None, patience: float | None, *, verbose: bool) -> int:
    _end_at_once(ExitCode.OK if patience is None else ExitCode.FAILED)
    cores.share_one()
    from watcher.daemon import logs  # noqa: PLC0415  (--help stays quick)
    from watcher.daemon.service import Service  # noqa: PLC0415

    ready = loaded(config)
    settings = ready.settings
    log = logs.configure(
        level="debug" if verbose else settings.log_level,
        form=settings.log_format,
        secrets=logs.secrets_of(settings),
    )
    for warning in ready.warnings:
        log.warning("config.warning", reason=warning)

    def again() -> Settings:
        fresh = loaded(config)
        # new secrets are known to the log before anything can print them
        logs.configure(
            level="debug" if verbose else fresh.settings.log_level,
            form=settings.log_format,
            secrets=[*logs.secrets_of(settings), *logs.secrets_of(fresh.settings)],
        )
        for warning in fresh.warnings:
            log.warning("config.warning", reason=warning)
        return fresh.settings

    wait = math.inf if patience is None else patience
    service = Service(settings, log, configuration=again, patience=wait)
    service.handle_signals()
    if patience is None:
        service.run()
        return ExitCode.OK
    ended = service.run_once(patience)
    if ended.unreachable:
        log.error("trouble", where="scheduler", reason=ended.unreachable)
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED if ended.failed or ended.left else ExitCode.OK


@click.command()
@config_option
def reload(config: Path | None) -> int:
    """Have the running daemon take up the configuration as it is now.

    An invalid one is refused here and by the daemon, which goes on with the last good one.
    """
    from watcher.adapters.ledger import open_ledger  # noqa: PLC0415  (--help stays quick)

    path = find(config, os.environ)
    try:
        state, fault = loaded(path).settings.state, None
    except ConfigError as error:
        state, fault = state_of(path), error
    if not daemon_runs(state):
        if fault is not None:
            raise fault
        click.echo("watcher: no daemon uses this state folder; the next start reads it", err=True)
        return ExitCode.FAILED
    ledger = open_ledger(state, read_only=False, busy=PATIENT)
    ledger.ask("reload", {}, time.time())
    ledger.close()
    if fault is not None:
        raise fault
    click.echo(f"{path}: valid; the daemon takes it up")
    return ExitCode.OK


def _end_at_once(code: int) -> None:
    """Until the service listens to signals nothing has begun that is to be drained, or reloaded:
    the configuration is read after this."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(code))


@click.command()
@config_option
@click.option("--online", is_flag=True, help="Also ask each scheduler.")
def check(config: Path | None, online: bool) -> int:  # noqa: FBT001
    """Validate the configuration: every problem as file:line:column: message."""
    try:
        ready = loaded(config)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem)
        click.echo(f"watcher: {error}", err=True)
        return ExitCode.USAGE
    for warning in ready.warnings:
        click.echo(warning)
    if online:
        _ask_schedulers(ready.settings)
    click.echo(f"{find(config, {}) if config else ready.settings.source}: no problem found")
    return ExitCode.OK


def _ask_schedulers(settings: Settings) -> None:
    """Ask each scheduler for its processes, and whether it knows those of the rules."""
    from watcher.cli.lines import served  # noqa: PLC0415  (--help stays quick)
    from watcher.daemon.schedulers import build_backend  # noqa: PLC0415  (likewise)

    for name, scheduler in settings.schedulers.items():
        backend = build_backend(scheduler, settings.state)
        try:
            known = served(backend)
        finally:
            backend.close()
        wanted = {
            spec.process
            for folder in settings.folders
            for rule in folder.rules
            for spec in rule.jobs
            if spec.scheduler == name and spec.process not in ("", "pass")
        }
        if wanted - known:
            missing = ", ".join(sorted(wanted - known))
            raise UsageError(f"it has no process {missing}", where=f"scheduler {name}")
        click.echo(f"scheduler {name}: {len(known)} processes")


@click.command()
def schema() -> None:
    """Print the configuration's JSON Schema, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
