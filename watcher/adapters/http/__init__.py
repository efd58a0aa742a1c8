"""The scheduler over HTTP: a typed client; the daemon's ``Backend`` on it stands in ``backend``.

Exports the client's public names only, so that asking a question imports little. Invariant:
nothing here prints, exits or reads the environment.
"""

from watcher.adapters.http.client import Client, Submission
from watcher.adapters.http.session import Server
from watcher.adapters.http.wire import Details, Job, State

__all__ = ["Client", "Details", "Job", "Server", "State", "Submission"]
