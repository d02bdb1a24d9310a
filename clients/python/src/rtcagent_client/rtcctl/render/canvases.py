"""What `rtcctl displays` and `rtcctl canvas list` show, and canvases in other lists."""

from collections.abc import Sequence

from rtcagent.v1.canvases_pb2 import ListCanvasesResponse, ListDisplaysResponse
from rtcagent.v1.state_pb2 import CanvasState, CanvasStatus, Display, DisplayAbility, DisplayStatus
from rtcagent.v1.types_pb2 import CanvasConfig, CanvasPlace, FitMode

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream, enum_word


def show_displays(answer: ListDisplaysResponse, screen: Screen) -> None:
    if not answer.displays:
        screen.line(f"no display: {describe_cause(answer.cause)}")
        return
    header = ("DISPLAY", "SIZE", "AT", "BY", "CAN", "SHOWS")
    rows = [
        (
            display.display_id,
            f"{display.width}x{display.height}",
            f"{display.x},{display.y}",
            enum_word(Display.Kind, display.kind),
            ", ".join(phrases.low(DisplayAbility, ability).replace("_", " ") for ability in display.abilities),
            layout_text(display) or "-",
        )
        for display in answer.displays
    ]
    screen.table([tuple(screen.paint(cell, "dim") for cell in header), *rows])
    for display in answer.displays:
        if display.missing:
            screen.line(f"{display.display_id}: {display.missing}")


def show_canvases(canvases: Sequence[ListCanvasesResponse.Canvas], screen: Screen) -> None:
    if not canvases:
        screen.line("there is no canvas: see rtcctl canvas set")
        return
    rows = [("CANVAS", "SHOWS", "WHERE", "STATE")]
    for canvas in canvases:
        config = canvas.desired.config
        rows.append(
            (canvas.desired.canvas_id, content_text(config), place_text(config.place), state_text(canvas.status))
        )
    screen.table([tuple(screen.paint(cell, "dim") for cell in rows[0]), *rows[1:]])


def content_text(config: CanvasConfig) -> str:
    """ "source camera", "ann's screen in lobby"."""
    if config.WhichOneof("content") == "remote":
        remote = config.remote
        return f"{remote.user_id}'s {describe_remote_stream(remote.kind, remote.name)} in {remote.room_id}"
    return f"source {config.source_id}"


def place_text(place: CanvasPlace) -> str:
    """ "640x360+0+0 on HDMI-1, fill, mirrored"."""
    geometry = place.geometry
    where = "full screen"
    if place.HasField("geometry"):
        where = f"{geometry.width}x{geometry.height}{geometry.x:+d}{geometry.y:+d}"
    return ", ".join(
        text
        for text in (
            f"{where} on {place.display}" if place.display else where,
            phrases.low(FitMode, place.fit) if place.fit else "",
            "mirrored" if place.mirror else "",
            f"z {place.z}" if place.z else "",
        )
        if text
    )


def state_text(status: CanvasStatus) -> str:
    """ "SHOWN", "WAITING: NO_DISPLAY ..."."""
    if not status.state:
        return "WAITING: the engine is being started"
    cause = f": {describe_cause(status.cause)}" if status.HasField("cause") else ""
    return f"{enum_word(CanvasState, status.state)}{cause}"


def displays_text(displays: DisplayStatus) -> str:
    """All displays in one line."""
    if not displays.displays:
        return f"none: {describe_cause(displays.cause)}"
    return ", ".join(
        f"{one.display_id} {one.width}x{one.height}{f' ({text})' if (text := layout_text(one)) else ''}"
        for one in displays.displays
    )


def layout_text(display: Display) -> str:
    """ "default layout", or why it is not there."""
    if display.HasField("layout_cause"):
        return f"no default layout: {describe_cause(display.layout_cause)}"
    return "default layout" if display.has_layout else ""
