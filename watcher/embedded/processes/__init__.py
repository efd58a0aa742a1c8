"""The built-in processes: each module here is one, with ``main(pc, params)``.

Imports nothing. Invariant: the docstring of ``main`` is what ``watcher doc`` shows, and
``ISOLATION`` ("reuse" or "own"; ``isolation(input_name)`` where it depends on the input) tells the
pool whether a job may share its worker with the jobs before it.
"""
