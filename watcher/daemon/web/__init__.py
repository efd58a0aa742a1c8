"""The page of a daemon, its health, metrics and files: what an operator and their tools look at.

``desk`` is all it sees, ``views`` says what is shown, ``guard`` who may see it, ``pages`` and
``api`` answer, ``live`` keeps open pages fresh. Imports core and the daemon's health and metrics.
"""
