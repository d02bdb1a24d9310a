"""The chain from order over engine, device, capture, server, room, permission and publication to the frames, read off
the agent's state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from rtcagent.v1.agent_pb2 import GetStateResponse
from rtcagent.v1.capture_pb2 import GetCaptureStatsResponse
from rtcagent.v1.state_pb2 import (
    CaptureState,
    CaptureStatus,
    DesiredCapture,
    DesiredRoom,
    DesiredStream,
    EngineState,
    MediaState,
    OrderInfo,
    PublicationState,
    PublicationStatus,
    RoomState,
    RoomStatus,
)
from rtcagent.v1.types_pb2 import Cause, ObjectRef, Outcome, Reason, StreamKind

from rtcagent_client import fold
from rtcagent_client.rtcctl.render import phrases, sound
from rtcagent_client.rtcctl.render.agent import engine_text
from rtcagent_client.rtcctl.render.rooms import room_text
from rtcagent_client.words import enum_word

AUTO_PUBLISHED = (StreamKind.STREAM_KIND_CAMERA, StreamKind.STREAM_KIND_MICROPHONE)

# Why a room is not joined: the way to the server, else the server's own answer.
_SERVER = frozenset(
    {
        Reason.REASON_SERVER_UNREACHABLE,
        Reason.REASON_NETWORK_LOST,
        Reason.REASON_SERVER_ERROR,
        Reason.REASON_TIMEOUT,
        Reason.REASON_URL_INVALID,
    }
)
# Why a source is not captured: the device itself.
_DEVICE = frozenset(
    {
        Reason.REASON_DEVICE_ABSENT,
        Reason.REASON_DEVICE_BUSY,
        Reason.REASON_DEVICE_UNPLUGGED,
        Reason.REASON_FORMAT_UNSUPPORTED,
    }
)


class Verdict(Enum):
    """How a link is. UNKNOWN: a broken one before it hides it."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass
class Link:
    """One link: what is so, and where it is broken, why."""

    name: str
    verdict: Verdict
    text: str = ""
    cause: Cause = field(default_factory=Cause)
    is_refused: bool = False  # will not mend by itself
    order: OrderInfo | None = None  # of what the link is about: it cannot have been broken for longer
    missing: list[ObjectRef] = field(default_factory=list)  # what nobody asks for; of the link "order"


@dataclass
class Chain:
    """What has to be so for a room, a source, or a source in a room."""

    room_id: str
    source_id: str
    links: list[Link]

    @property
    def name(self) -> str:
        if self.room_id and self.source_id:
            return f"stream {self.room_id}/{self.source_id}"
        return f"room {self.room_id}" if self.room_id else f"source {self.source_id}"

    @property
    def broken(self) -> Link | None:
        return next((link for link in self.links if link.verdict is Verdict.BROKEN), None)


class Reader:
    """Reads chains off one view of the agent."""

    def __init__(self, state: GetStateResponse, stats: GetCaptureStatsResponse, later: GetCaptureStatsResponse) -> None:
        """`stats` and `later` are a second apart: what advances between them flows."""
        self._state = state
        self._pushed = [
            {(one.room_id, one.source_id): one.frames_pushed for one in each.publications} for each in (stats, later)
        ]
        self._fps = {one.source_id: one.fps for one in later.sources}
        self._outcomes = {one.object.SerializeToString(deterministic=True): one for one in state.differences}
        self.rooms = {one.config.room_id: one for one in state.desired.rooms}
        self.captures = {one.source_id: one for one in state.desired.captures}
        self.streams = {(one.room_id, one.source_id): one for one in state.desired.streams}

    def room_ids(self) -> set[str]:
        """Every room that is asked for, or that the agent has something to do with."""
        return {*self.rooms, *(one.room_id for one in self._state.reported.rooms), *(room for room, _ in self.streams)}

    def source_ids(self) -> set[str]:
        """Every source, likewise."""
        reported = (one.source_id for one in self._state.reported.captures)
        return {*self.captures, *reported, *(source for _, source in self.streams)}

    def sent(self) -> Iterator[tuple[str, str]]:
        """Every (room, source) that is to be sent, and those that are ordered in any other way."""
        for room_id in sorted(self.room_ids()):
            for source_id in sorted(self.source_ids()):
                if (room_id, source_id) in self.streams or self._is_automatic(room_id, source_id):
                    yield room_id, source_id

    def chain(self, room_id: str, source_id: str) -> Chain:
        """The chain of a room, of a source, or with both of a stream."""
        links = [self._order(room_id, source_id), self._engine()]
        if source_id:
            links += self._source_links(source_id)
        if room_id:
            links += self._room_links(room_id)
        if room_id and source_id:
            links += self._stream_links(room_id, source_id)
        chain = Chain(room_id, source_id, links)
        first = chain.broken
        for link in links:
            # what nobody has asked for is not broken, nor is what merely waits for the first broken link
            waits = first is not None and (first.name == "order" or link.cause.reason in (0, first.cause.reason))
            if link is not first and link.name != "engine" and link.verdict is Verdict.BROKEN and waits:
                link.verdict, link.text = Verdict.UNKNOWN, ""
        return chain

    def unknown(self, name: str) -> Chain:
        """Of a name that nobody has asked for, be it a room's or a source's."""
        known = ", ".join(sorted(self.room_ids() | self.source_ids())) or "nothing"
        text = f"nobody has asked for a room or a source {name}; what is asked for: {known}"
        cause = Cause(reason=Reason.REASON_ROOM_NOT_JOINED, message=text)
        refs = [ObjectRef(room_id=name), ObjectRef(source_id=name)]
        return Chain(name, "", [Link("order", Verdict.BROKEN, cause=cause, missing=refs), self._engine()])

    def _is_automatic(self, room_id: str, source_id: str) -> bool:
        room, capture = self.rooms.get(room_id), self.captures.get(source_id)
        if room is None or capture is None:
            return False
        return room.config.auto_publish and _kind(capture) in AUTO_PUBLISHED

    # -- the links

    def _order(self, room_id: str, source_id: str) -> Link:
        room, capture = self.rooms.get(room_id), self.captures.get(source_id)
        asked: list[str] = []
        missing: list[tuple[ObjectRef, Reason.ValueType, str]] = []
        if room_id:
            asked += [f"in the room: {_asked(room)}"] if room is not None else []
            no_room = f"nobody has asked to be in room {room_id}: rtcctl join {room_id}"
            missing += [(ObjectRef(room_id=room_id), Reason.REASON_ROOM_NOT_JOINED, no_room)] if room is None else []
        if source_id:
            asked += [f"captured: {_asked(capture)}"] if capture is not None else []
            option = "" if source_id == "camera" else f" --source {source_id}"
            turn_on = "mic on" if source_id == "microphone" else f"camera on{option}"
            no_capture = f"nobody has asked to capture {source_id}: rtcctl {turn_on}"
            ref = ObjectRef(source_id=source_id)
            missing += [(ref, Reason.REASON_SOURCE_NOT_CAPTURED, no_capture)] if capture is None else []
        if room_id and source_id:
            stream = self.streams.get((room_id, source_id))
            publish = f"rtcctl publish {room_id} {source_id}"
            ref = ObjectRef(stream=ObjectRef.Stream(room_id=room_id, source_id=source_id))
            if stream is not None and stream.HasField("published"):
                if stream.published:
                    asked.append(f"published: {_asked(stream)}")
                else:
                    missing.append((ref, Reason.REASON_ORDERED, f"not to be published: {_asked(stream)}; {publish}"))
            elif not self._is_automatic(room_id, source_id) and not missing:
                missing.append(
                    (ref, Reason.REASON_ORDERED, f"nobody has asked to publish it, nor does the room: {publish}")
                )
            elif not missing:
                asked.append("published automatically")
        if missing:
            ref, reason, text = missing[0]
            return Link("order", Verdict.BROKEN, cause=Cause(reason=reason, message=text), missing=[ref])
        return Link("order", Verdict.OK, "; ".join(asked))

    def _engine(self) -> Link:
        engine = self._state.reported.engine
        if engine.state == EngineState.ENGINE_STATE_RUNNING:
            return Link("engine", Verdict.OK, engine_text(engine))
        cause = Cause(reason=Reason.REASON_ENGINE_STARTING, message="the engine process is being started")
        if engine.HasField("cause"):
            cause = engine.cause
        return Link("engine", Verdict.BROKEN, enum_word(EngineState, engine.state), cause)

    def _source_links(self, source_id: str) -> Iterator[Link]:
        wanted = self.captures.get(source_id)
        order = wanted.order if wanted is not None else None
        status = fold.find_capture(self._state.reported, source_id)
        cause, refused = self._why(ObjectRef(source_id=source_id), status)
        captures = status is not None and status.state == CaptureState.CAPTURE_STATE_CAPTURING
        needs_device = wanted is None or _needs_device(wanted)
        if needs_device:
            if captures:
                yield Link("device", Verdict.OK, self._device_text(status))
            elif cause.reason in _DEVICE:
                yield Link("device", Verdict.BROKEN, "", cause, refused, order)
            else:
                yield Link("device", Verdict.UNKNOWN)
        if captures and status is not None:
            format_now = phrases.video_format(status.format) or sound.status(status.audio)
            text = phrases.joined(format_now, "" if needs_device else status.input)
            rate = f"{self._fps[source_id]:.1f} frames/s now" if source_id in self._fps else ""
            if cause.reason:  # captured, and not as asked for now
                yield Link("capture", Verdict.BROKEN, text, cause, refused, order)
            else:
                yield Link("capture", Verdict.OK, phrases.joined(text, rate))
        elif needs_device and cause.reason in _DEVICE:
            yield Link("capture", Verdict.UNKNOWN)
        else:
            state = enum_word(CaptureState, status.state) if status is not None else ""
            yield Link("capture", Verdict.BROKEN, state, cause, refused, order)

    def _device_text(self, status: CaptureStatus | None) -> str:
        found = [
            one for one in self._state.reported.devices if status is not None and one.device_id == status.device_id
        ]
        return (
            f"{found[0].name} at {found[0].path} ({found[0].device_id})" if found else (status.input if status else "")
        )

    def _room_links(self, room_id: str) -> Iterator[Link]:
        wanted = self.rooms.get(room_id)
        order = wanted.order if wanted is not None else None
        status = fold.find_room(self._state.reported, room_id)
        cause, refused = self._why(ObjectRef(room_id=room_id), status)
        bare = RoomStatus()
        if status is not None:
            bare.CopyFrom(status)
        bare.ClearField("cause")
        if bare.state == RoomState.ROOM_STATE_JOINED:
            yield Link("server", Verdict.OK, bare.server_url)
            if cause.reason:
                yield Link("room", Verdict.BROKEN, room_text(bare), cause, refused, order)
            else:
                at = f"since {phrases.clock(bare.joined_at)}" if bare.HasField("joined_at") else ""
                bare.server_url = ""
                yield Link(
                    "room",
                    Verdict.OK,
                    phrases.joined(room_text(bare), at, phrases.plural(len(bare.users), "other user")),
                )
        elif cause.reason in _SERVER:
            text = phrases.joined(
                bare.server_url, enum_word(RoomState, bare.state) if bare.state else "", phrases.next_try(bare)
            )
            yield Link("server", Verdict.BROKEN, text, cause, refused, order)
            yield Link("room", Verdict.UNKNOWN)
        else:
            answered = bool(cause.reason) and cause.reason not in (Reason.REASON_ENGINE_STARTING, Reason.REASON_ORDERED)
            yield Link("server", Verdict.OK if answered else Verdict.UNKNOWN, bare.server_url)
            yield Link("room", Verdict.BROKEN, room_text(bare) if bare.state else "", cause, refused, order)

    def _stream_links(self, room_id: str, source_id: str) -> Iterator[Link]:
        room, capture = self.rooms.get(room_id), self.captures.get(source_id)
        wanted = self.streams.get((room_id, source_id))
        order = _latest([one.order for one in (wanted, room, capture) if one is not None])
        ref = ObjectRef(stream=ObjectRef.Stream(room_id=room_id, source_id=source_id))
        status = fold.find_publication(self._state.reported, room_id, source_id)
        cause, refused = self._why(ref, status)
        if status is not None and status.state == PublicationState.PUBLICATION_STATE_PUBLISHED:
            yield Link("permission", Verdict.OK, "may publish")
            text = phrases.joined("PUBLISHED", phrases.encoder(status.encoder), "muted" if status.muted else "")
            yield Link("publication", Verdict.OK, text)
            yield self._frames(status, wanted, cause, refused, order)
            return
        if cause.reason == Reason.REASON_NO_PERMISSION:
            yield Link("permission", Verdict.BROKEN, "", cause, refused, order)
            yield Link("publication", Verdict.UNKNOWN)
        else:
            state = enum_word(PublicationState, status.state) if status is not None else ""
            yield Link("permission", Verdict.UNKNOWN)
            yield Link("publication", Verdict.BROKEN, state, cause, refused, order)
        yield Link("frames", Verdict.UNKNOWN)

    def _frames(
        self,
        status: PublicationStatus,
        wanted: DesiredStream | None,
        cause: Cause,
        refused: bool,
        order: OrderInfo | None,
    ) -> Link:
        key = (status.room_id, status.source_id)
        before, now = (each.get(key, 0) for each in self._pushed)
        if status.muted:
            who = f", as {phrases.ordered(wanted.order)} asked" if wanted is not None and wanted.muted else ""
            return Link("frames", Verdict.OK, f"muted{who}: none are sent")
        match status.media_state:
            case MediaState.MEDIA_STATE_LIVE:
                return Link("frames", Verdict.OK, f"LIVE: the server acknowledges them, {now} so far")
            case MediaState.MEDIA_STATE_PAUSED:
                return Link("frames", Verdict.OK, "PAUSED: nobody in the room takes the stream, so that none are sent")
            case MediaState.MEDIA_STATE_NO_FRAMES:
                text = "the source delivers none: a picture that stands still, or a camera or film that has ended"
                return Link(
                    "frames",
                    Verdict.BROKEN,
                    "NO FRAMES",
                    _or(cause, Reason.REASON_CAPTURE_FAILED, text),
                    refused,
                    order,
                )
            case MediaState.MEDIA_STATE_STALLED:
                text = "frames are captured and the room does not get them"
                return Link(
                    "frames", Verdict.BROKEN, "STALLED", _or(cause, Reason.REASON_MEDIA_STALLED, text), refused, order
                )
        if now > before:
            return Link("frames", Verdict.OK, f"{now} handed to the encoder, and going on")
        text = "none came within a second: the source delivers none, or the engine does not hand them on"
        return Link(
            "frames", Verdict.BROKEN, f"{now} so far", _or(cause, Reason.REASON_CAPTURE_FAILED, text), refused, order
        )

    def _why(self, ref: ObjectRef, status: CaptureStatus | RoomStatus | PublicationStatus | None) -> tuple[Cause, bool]:
        """Why an object is not as asked for, as the agent says it, and whether that is for good."""
        outcome = self._outcomes.get(ref.SerializeToString(deterministic=True))
        if outcome is not None:
            return outcome.cause, outcome.kind == Outcome.KIND_REFUSED
        if status is not None and status.HasField("cause"):
            return status.cause, False
        return Cause(), False


def _or(cause: Cause, reason: Reason.ValueType, message: str) -> Cause:
    return cause if cause.reason else Cause(reason=reason, message=message)


def _latest(orders: list[OrderInfo]) -> OrderInfo | None:
    return max(orders, key=lambda order: order.revision, default=None)


def _asked(wanted: DesiredRoom | DesiredCapture | DesiredStream) -> str:
    """ "local at 14:02:11 (revision 3), this boot" """
    return phrases.joined(phrases.ordered(wanted.order), phrases.keep(wanted.order.keep))


def _kind(capture: DesiredCapture) -> int:
    if capture.HasField("audio"):
        if capture.audio.input.WhichOneof("input") == "screen_audio":
            return StreamKind.STREAM_KIND_SCREEN_AUDIO
        return capture.audio.kind or StreamKind.STREAM_KIND_MICROPHONE
    return capture.config.kind or StreamKind.STREAM_KIND_CAMERA


def _needs_device(capture: DesiredCapture) -> bool:
    if capture.HasField("audio"):
        return capture.audio.input.WhichOneof("input") in (None, "microphone")
    return capture.config.input.WhichOneof("input") in (None, "camera")
