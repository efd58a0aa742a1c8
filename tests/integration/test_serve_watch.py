"""What ``watcher serve`` does between start and signal."""

from __future__ import annotations

import socket
import threading

import pytest
import structlog

from watcher.cli.serving import watch
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.server.app import Api, Serving
from watcher.embedded.server.host import Host, bind
from watcher.errors import WatcherError


@pytest.fixture
def scheduler(tmp_path):
    return EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1))


@pytest.fixture
def host(scheduler):
    log = structlog.get_logger()
    made = Host(Api(scheduler, Serving(version="0"), log).application(), log)
    with bind("127.0.0.1", 0) as bound:
        made.start(bound)
        yield made
        made.stop()


def test_a_server_that_ended_by_itself_is_an_error(scheduler, host):
    host.stop()
    with pytest.raises(WatcherError, match="by itself"):
        watch(scheduler, host, threading.Event(), None, structlog.get_logger())
    scheduler.close()


def test_old_jobs_that_cannot_go_are_told_and_no_reason_to_stop(scheduler, host):
    scheduler.close()
    stop = threading.Event()
    told = []

    def hear(_, __, event):
        told.append(event)
        stop.set()
        raise structlog.DropEvent

    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[hear])
    watch(scheduler, host, stop, 60.0, log)
    assert told[0]["event"] == "trouble"
    assert told[0]["where"] == "old jobs"


def test_a_socket_that_is_bound_elsewhere_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(WatcherError):
        bind("127.0.0.1", taken.getsockname()[1])
