"""The embedded scheduler: same job model and API as the real one, on open converters.

A small context of its own: imports ``core.ports``, ``core.model``, ``content`` and ``errors`` of
the rest, nothing else; the daemon sees it through the ``Backend`` port only.
"""
