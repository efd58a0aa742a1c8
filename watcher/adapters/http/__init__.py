"""The scheduler over HTTP: a typed client, and the daemon's backend on it.

Exports the public names only. Invariant: nothing here prints, exits or reads the environment.
"""

from watcher.adapters.http.backend import HttpBackend
from watcher.adapters.http.client import Client, Submission
from watcher.adapters.http.session import Server
from watcher.adapters.http.wire import Details, Job, State

__all__ = ["Client", "Details", "HttpBackend", "Job", "Server", "State", "Submission"]
