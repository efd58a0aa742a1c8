"""The acting half: one outside thing each, behind a port; no decisions, no import of each other."""
