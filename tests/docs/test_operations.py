"""What docs/operations.md says of events is what the program says."""

from pathlib import Path

from watcher.daemon.logs import EVENTS

DOC = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_event_is_documented():
    text = DOC.read_text()
    missing = [name for name, told in EVENTS.items() if f"| `{name}` | {told} |" not in text]
    assert not missing
