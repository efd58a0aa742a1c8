"""The native watch of input roots, and what Linux says about their file systems.

Imports its own modules only. Invariant: the rest of watcher sees the names below.
"""

from watcher.adapters.observe.watch import Look, Observe, Watching

__all__ = ["Look", "Observe", "Watching"]
