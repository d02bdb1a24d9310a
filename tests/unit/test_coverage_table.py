"""docs/coverage.md names only methods and events that there are."""

import importlib
import re
from pathlib import Path

from rtcagent.v1 import event_pb2 as ev

METHODS = {
    method.name
    for source in (Path(__file__).parents[2] / "proto" / "rtcagent" / "v1").glob("*.proto")
    for service in importlib.import_module(f"rtcagent.v1.{source.stem}_pb2").DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

TABLE = Path(__file__).parents[2] / "docs" / "coverage.md"
EVENTS = {field.name for field in ev.Event.DESCRIPTOR.oneofs_by_name["payload"].fields}
OTHER = {"hidden", "auto_", "lk.transcription", "screen", "join_type", "log_level"}  # no methods or events


def test_every_name_of_the_right_column_exists() -> None:
    rows = [line.split("|")[1:-1] for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 80
    for _, here in rows:
        theirs = {"setUserVisibility"}
        for name in set(re.findall(r"`([^`]+)`", here)) - OTHER - theirs:
            assert name in EVENTS or name in METHODS, f"{name} is neither a method nor an event: {here}"


def test_every_row_says_something() -> None:
    for line in TABLE.read_text().splitlines():
        if line.startswith("| "):
            assert all(cell.strip() for cell in line.split("|")[1:-1]), line
