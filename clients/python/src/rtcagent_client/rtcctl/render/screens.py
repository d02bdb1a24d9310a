"""What `rtcctl screens` and `rtcctl screen audio list` show, and what a screen's event says."""

import re
from typing import Any

from rtcagent.v1.screen_pb2 import (
    ListScreenAudioSourcesResponse,
    ListScreenSourcesResponse,
    ScreenSource,
)

from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_word


def show_sources(found: ListScreenSourcesResponse, screen: Screen) -> None:
    """A table of the displays and windows."""
    rows = [[screen.paint(cell, "dim") for cell in ("KIND", "ID", "SIZE AND PLACE", "TITLE", "")]]
    for source in found.sources:
        kind = enum_word(ScreenSource.Kind, source.kind).lower()
        rows.append([kind, source.id, _geometry(source), _title(source), ", ".join(_remarks(source))])
    if len(rows) > 1:
        screen.table(rows)
    else:
        screen.line("there is nothing that could be shared")


def show_sounds(found: ListScreenAudioSourcesResponse, screen: Screen) -> None:
    """A table of the programs that play."""
    rows = [[screen.paint(cell, "dim") for cell in ("APPLICATION", "BINARY", "PID", "SPEAKER", "TITLE", "")]]
    for source in found.sources:
        only = source.application
        remarks = [word for holds, word in ((source.muted, "muted"), (source.paused, "paused")) if holds]
        pid = str(only.process_id or "-")
        rows.append([only.name, only.binary or "-", pid, source.device_id, source.title, ", ".join(remarks)])
    if len(rows) > 1:
        screen.table(rows)
    else:
        screen.line("nothing plays sound now")


def file_name(source: ScreenSource) -> str:
    """Of its thumbnail."""
    kind = enum_word(ScreenSource.Kind, source.kind).lower()
    return f"{kind}-{re.sub('[^A-Za-z0-9_.-]', '_', source.id)}.png"


def screen_state(event: Any) -> str:
    """The summary of a ScreenStateChanged."""
    one = event.screen
    what = "is minimised, its last picture is sent" if one.minimised else "is shown again"
    return f"screen {one.source_id}: its window {what}"


def _geometry(source: ScreenSource) -> str:
    place = source.geometry
    return f"{place.width}x{place.height}{place.x:+d}{place.y:+d}" if place.width else "-"


def _title(source: ScreenSource) -> str:
    return f"{source.title} ({source.application})" if source.application else source.title


def _remarks(source: ScreenSource) -> list[str]:
    named = (
        (source.primary, "primary"),
        (source.minimised, "minimised"),
        (source.chosen_by_person, "the person at the machine is asked which"),
    )
    return [words for holds, words in named if holds]
