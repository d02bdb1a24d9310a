"""Replaces whole lists of the desired state in one transaction, by the edits of the single orders and so with their
checks; everything that is wrong is reported at once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rtcagent.v1 import agent_pb2, capture_pb2, devices_pb2, rooms_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import screen_share
from rtcagentd.control.errors import Code, OrderError, OrderProblems, invalid
from rtcagentd.control.ids import DEFAULT_AUDIO_SOURCE_ID, DEFAULT_SOURCE_ID
from rtcagentd.control.ledger import Change, Edit
from rtcagentd.control.objects import IN_ROOMS, PARTS, Desired, Key, key_of_desired, room_id_of
from rtcagentd.control.orders import Edits, Orders

# Errors travel in the trailing metadata of a call, for which gRPC has 8 KiB: more problems than these are counted only.
MAX_PROBLEMS_BYTES = 1500


@dataclass(frozen=True)
class Asked:
    """One object that is to be, the edit that asks for it, and its place in what was given: "rooms[1]"."""

    place: str
    key: Key
    body: Desired
    order: Edits
    where: Callable[[str], str]  # its place, or one in it, as the caller is to read it


class DryRun(Exception):
    """Raised inside the transaction, which undoes it: what the order would have done."""

    def __init__(self, revision: int, changes: dict[Key, Change.Kind.ValueType], desired: st.DesiredState) -> None:
        super().__init__("a dry run")
        self.revision = revision
        self.changes = changes
        self.desired = desired


def apply_state(
    orders: Orders, request: agent_pb2.ApplyStateRequest, limits: agent_pb2.EngineLimits, *, devices_known: bool
) -> Edits:
    """The edit that replaces what the request names."""
    parts = _parts(request)
    asked = list(asked_for(orders, request.desired, parts, limits, devices_known=devices_known))
    wanted = {item.key for item in asked}

    def edit(edits: Edit) -> None:
        revision = edits.revision
        if request.if_revision and revision != request.if_revision:
            text = f"the desired state is at revision {revision}, not at {request.if_revision} any more: read it again"
            raise OrderError(Code.ABORTED, "REVISION_CHANGED", text, revision=str(revision))
        gone = [key for part in parts for key in edits.keys(PARTS[part]) if key not in wanted]
        carry_out(orders, edits, asked, gone, parts)
        if request.dry_run:
            raise DryRun(revision, edits.kinds_of_change(), edits.desired())

    return edit


def asked_for(
    orders: Orders,
    desired: st.DesiredState,
    parts: Iterable[str],
    limits: agent_pb2.EngineLimits,
    *,
    devices_known: bool,
    where: Callable[[str], str] = str,
) -> Iterator[Asked]:
    """Every object of the named lists, in the order in which they can be asked for. An edit that cannot be made raises
    its error in the transaction, beside those of the others. `where` tells places as the caller is to read them.
    """

    def room(room: st.DesiredRoom) -> Edits:
        def edit(edits: Edit) -> None:  # made in the transaction: it needs the token that is stored by then
            request = rooms_pb2.JoinRoomRequest(config=room.config)
            orders.keep_token(request.config, edits.row(key_of_desired(room)))
            orders.join_room(request, limits)(edits)

        return edit

    def capture(capture: st.DesiredCapture) -> Edits:
        if capture.HasField("audio"):
            if capture.HasField("config"):
                raise invalid("audio", "VIDEO_AND_AUDIO", "a source is of video (config) or of sound (audio), not both")
            return orders.audio.start(
                capture_pb2.StartAudioCaptureRequest(source_id=capture.source_id, config=capture.audio)
            )
        request = capture_pb2.StartVideoCaptureRequest(source_id=capture.source_id, config=capture.config)
        return orders.start_video_capture(request, limits, devices_known=devices_known, keep_password=True)

    def subscription(wanted: st.DesiredSubscription) -> Edits:
        request = rooms_pb2.SubscribeStreamRequest(
            room_id=wanted.room_id, user_id=wanted.user_id, kind=wanted.kind, name=wanted.name, quality=wanted.quality
        )
        return orders.subscribe_stream(request, wanted.subscribed)

    def slot(slot: st.DesiredSlot) -> Edits:
        if not slot.slot.matches:
            raise invalid("slot.matches", "MATCH_MISSING", "a slot needs one match at least; leave it out to remove it")
        return orders.set_slot(devices_pb2.SetSlotRequest(slot=slot.slot))

    def layout(layout: st.DesiredLayout) -> Edits:
        if not layout.mode:
            raise invalid("mode", "MODE_MISSING", "a layout is on or off; leave it out to follow the configuration")
        return orders.canvases.set_layout(layout)

    builders: dict[str, Callable[[Any], Edits]] = {
        "slots": slot,
        "captures": capture,
        "rooms": room,
        "streams": orders.set_stream,
        "subscriptions": subscription,
        "playback": lambda asked: orders.sound.playback(asked, devices_known=devices_known),
        "remote_volumes": orders.sound.remote_volume,
        "audio_report": lambda asked: orders.sound.audio_report(asked.interval_ms),
        "canvases": orders.canvases.set_canvas,
        "layouts": layout,
        "recordings": orders.recordings.set_recording,
    }
    for part in (part for part in PARTS if part in parts):
        for index, body in enumerate(getattr(desired, part)):
            full = _with_defaults(body)
            yield Asked(f"{part}[{index}]", key_of_desired(full), full, _later(builders[part], full), where)


def carry_out(orders: Orders, edits: Edit, asked: Iterable[Asked], gone: Iterable[Key], parts: Iterable[str]) -> None:
    """Remove what is gone and ask for the rest. Raises OrderError with all that is wrong."""
    problems: list[tuple[str, OrderError]] = []
    gone, parts, seen = list(gone), set(parts), dict[Key, str]()
    if "captures" not in parts:  # else they are as they were given
        for screen in screen_share.ends_with_rooms(edits.bodies(), [key for key in gone if key.kind == "room"]):
            edits.remove(screen)
    for key in gone:
        if key.kind == "slot":
            continue  # whether it is in use shows when the captures have changed
        edits.remove(key)
        for kind, part in IN_ROOMS.items():
            if key.kind == "room" and part not in parts:
                for other in edits.keys(kind):
                    if room_id_of(other) == key.text:
                        edits.remove(other)
    for item in asked:
        try:
            if item.key in seen:
                raise invalid("", "GIVEN_TWICE", f"the same is asked for in {seen[item.key]} already: give it once")
            seen[item.key] = item.where(item.place)
            item.order(edits)
        except OrderError as error:
            # a limit is about all objects of the kind, not about the field of a single order
            inner = error.field if error.code is not Code.RESOURCE_EXHAUSTED else ""
            problems.append((item.where(f"{item.place}.{inner}" if inner else item.place), error))
    for key in gone:
        if key.kind == "slot":
            try:
                orders.set_slot(devices_pb2.SetSlotRequest(slot=ty.Slot(name=key.text)))(edits)
            except OrderError as error:
                problems.append(("slots", error))
    if problems:
        raise _all(problems)


def _parts(request: agent_pb2.ApplyStateRequest) -> list[str]:
    parts = list(request.field_mask.paths)
    known = ", ".join(sorted(PARTS))
    if not parts:
        raise invalid("field_mask", "FIELD_MASK_MISSING", f"field_mask names no list to replace; there are: {known}")
    for index, part in enumerate(parts):
        if part not in PARTS:
            text = f"field_mask names {part[:80]!r}, which is none of {known}"
            raise invalid(f"field_mask.paths[{index}]", "FIELD_MASK_INVALID", text)
    for part in PARTS:
        if part not in parts and len(getattr(request.desired, part)):
            text = f"desired has {part}, but field_mask does not name them: name them, or leave them out"
            raise invalid(f"desired.{part}", "FIELD_MASK_INVALID", text)
    return parts


def _with_defaults(body: Desired) -> Desired:
    """The object with what its key needs, as the single orders fill it in."""
    full = type(body)()
    full.CopyFrom(body)  # type: ignore[arg-type]  # of the same type
    full.ClearField("order")
    if isinstance(full, st.DesiredCapture | st.DesiredStream):
        is_sound = isinstance(full, st.DesiredCapture) and full.HasField("audio")
        full.source_id = full.source_id or (DEFAULT_AUDIO_SOURCE_ID if is_sound else DEFAULT_SOURCE_ID)
    elif isinstance(full, st.DesiredSubscription):
        full.kind = full.kind or ty.STREAM_KIND_CAMERA
    return full


def _later(build: Callable[[Any], Edits], body: Desired) -> Edits:
    """The edit for an object; one that raises the error, if it cannot be made."""
    try:
        return build(body)
    except OrderError as error:
        refused = error

        def refuse(_: Edit) -> None:
            raise refused

        return refuse


def _all(problems: list[tuple[str, OrderError]]) -> OrderProblems:
    """One error of them all. Its code and reason are theirs where they agree."""
    fields: list[tuple[str, str]] = []
    size = 0
    for place, error in problems:
        field = (place, error.message)
        size += len("".join(field).encode()) + 8
        if fields and size > MAX_PROBLEMS_BYTES:
            break
        fields.append(field)
    text = "; ".join(f"{place}: {message}" for place, message in fields)
    if len(problems) > 1:
        text = f"{len(problems)} problems: {text}"
    if len(fields) < len(problems):
        text += f"; and {len(problems) - len(fields)} more"
    lasting = [error for _, error in problems if error.code is not Code.UNAVAILABLE] or [problems[0][1]]
    code, reason = lasting[0].code, lasting[0].reason
    if any(error.code is not code for error in lasting):
        code = Code.INVALID_ARGUMENT
    if any(error.reason != reason for error in lasting):
        reason = "STATE_INVALID"
    return OrderProblems(code, reason, text, fields, **(problems[0][1].metadata if len(problems) == 1 else {}))
