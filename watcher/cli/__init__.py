"""Talks to people and scripts: commands, tables, progress, exit codes."""
