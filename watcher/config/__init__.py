"""The configuration: one YAML file in, frozen settings or all of its problems out.

Imports ``core`` and ``errors``; pydantic and PyYAML are known here alone. Invariant: no reader of
the settings ever sees a value that was not checked.
"""

from watcher.config.load import Loaded, find, load
from watcher.config.schema import sample, schema

__all__ = ["Loaded", "find", "load", "sample", "schema"]
