"""The deciding half: facts and ``now`` in, decisions out.

Imports only the standard library's data types and ``watcher.errors``. Invariant: no I/O, no clock,
no threads, no logging; the layer test walks the imports.
"""
