"""What `rtcctl state` shows: for each object what was asked for beside what is so, and under it why they differ."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rtcagent.v1.agent_pb2 import GetAgentResponse, GetStateResponse
from rtcagent.v1.state_pb2 import (
    CanvasState,
    CaptureState,
    ConnectionQuality,
    DesiredRoom,
    DesiredSubscription,
    PlaybackState,
    PublicationState,
    RecordingState,
    RemoteStream,
    RoomState,
    RoomStatus,
    SubscriptionState,
)
from rtcagent.v1.types_pb2 import LayoutMode, ObjectRef, Outcome, StreamKind

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases, sound
from rtcagent_client.rtcctl.render.agent import engine_text
from rtcagent_client.rtcctl.render.canvases import content_text, place_text
from rtcagent_client.rtcctl.render.recordings import config_text
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_object, describe_remote_stream, enum_word

_MARKS = {
    Outcome.KIND_WAITING: ("~", "yellow"),
    Outcome.KIND_REFUSED: ("!", "red"),
    Outcome.KIND_SUPERSEDED: ("!", "red"),
}


@dataclass
class _Row:
    name: str
    desired: str
    reported: str
    ref: ObjectRef | None = None  # None: nothing that can be asked for
    depth: int = 0
    why: str = ""  # where there is no difference to tell it


@dataclass
class _Section:
    title: str
    rows: list[_Row] = field(default_factory=list)


def show_state(state: GetStateResponse, agent: GetAgentResponse, screen: Screen) -> None:
    reported = state.reported
    screen.line(f"{screen.paint(agent.name, 'bold')}  rtcagentd {agent.version}  engine {engine_text(reported.engine)}")
    sections = list(_sections(state))
    differences = {_key(outcome.object): outcome for outcome in state.differences}
    shown = {_key(row.ref) for section in sections for row in section.rows if row.ref is not None}
    others = [outcome for key, outcome in differences.items() if key not in shown]
    if others:
        sections.append(_Section("OTHER", [_Row(describe_object(one.object), "", "", one.object) for one in others]))
    count = sum(1 for section in sections for row in section.rows if row.ref is not None and row.desired)
    screen.line(_summary(count, len(differences), screen))
    if state.HasField("store") and not state.store.writable:
        since = f" since {phrases.clock(state.store.since)}" if state.store.HasField("since") else ""
        waiting = f"; {phrases.plural(state.store.unwritten_count, 'change')} not on disk"
        screen.line(screen.paint(f"no order can be stored{since}: {describe_cause(state.store.cause)}{waiting}", "red"))
    widths = [0, 0]
    for row in (row for section in sections for row in section.rows):
        widths = [max(widths[0], len(row.name) + 2 * row.depth), max(widths[1], len(row.desired))]
    for section in sections:
        screen.line()
        _show_section(section, differences, widths, screen)
    screen.line()
    absent = sum(not device.present for device in reported.devices)
    devices = f"{phrases.plural(len(reported.devices) - absent, 'device')}" + (
        f" and {absent} absent" if absent else ""
    )
    position = f"revision {state.desired.revision}, event {state.position.seq} of log {state.position.log_id[:8]}"
    screen.line(screen.paint(f"{devices}; {position}", "dim"))


def _summary(count: int, different: int, screen: Screen) -> str:
    if not count and not different:
        return "nothing is asked for: see rtcctl join, rtcctl camera on"
    if not different:
        return screen.paint("everything is as asked for", "green")
    verb = "is" if different == 1 else "are"
    return screen.paint(f"{different} of {max(count, different)} {verb} not as asked for", "yellow")


def _show_section(section: _Section, differences: dict[bytes, Outcome], widths: list[int], screen: Screen) -> None:
    title = section.title.ljust(widths[0] + 2)
    screen.line(screen.paint(f"{title}  {'ASKED FOR'.ljust(widths[1])}  IS", "dim"))
    for row in section.rows:
        outcome = differences.get(_key(row.ref)) if row.ref is not None else None
        mark, colour = " ", ""
        if outcome is not None:
            mark, colour = _MARKS.get(outcome.kind, ("~", "yellow"))
        elif row.ref is not None and row.desired:
            mark, colour = "=", "green"
        name = ("  " * row.depth + row.name).ljust(widths[0])
        reported = row.reported or (enum_word(Outcome.Kind, outcome.kind) if outcome is not None else "-")
        desired = row.desired or ("-" if row.ref is not None else "")
        text = f"{name}  {desired.ljust(widths[1])}  {screen.paint(reported, colour) if outcome else reported}"
        screen.line(f"{screen.paint(mark, colour) if colour else mark} {text}")
        why = describe_cause(outcome.cause) if outcome is not None and outcome.HasField("cause") else row.why
        if why:
            screen.line(f"  {'  ' * row.depth}  {screen.paint(f'why: {why}', colour or 'dim')}")


def _sections(state: GetStateResponse) -> Iterator[_Section]:
    sound = list(_sound(state))
    if sound:
        yield _Section("SOUND", sound)
    captures = list(_captures(state))
    if captures:
        yield _Section("SOURCES", captures)
    desired = {room.config.room_id: room for room in state.desired.rooms}
    reported = {room.room_id: room for room in state.reported.rooms}
    names = {*desired, *reported}
    names |= {stream.room_id for stream in state.desired.streams}
    names |= {wanted.room_id for wanted in state.desired.subscriptions}
    names |= {wanted.room_id for wanted in state.desired.remote_volumes}
    for name in sorted(names):
        room = reported.get(name, RoomStatus(room_id=name))
        rows = [_room(desired.get(name), room), *_publications(state, room), *_users(state, room)]
        yield _Section(f"ROOM {name}", rows)
    displays = [*_canvases(state), *_layouts(state)]
    if displays:
        yield _Section("DISPLAYS", displays)
    recordings = list(_recordings(state))
    if recordings:
        yield _Section("RECORDINGS", recordings)


def _sound(state: GetStateResponse) -> Iterator[_Row]:
    """Where there is something to tell: a default speaker that plays nothing is what every machine has."""
    status = state.reported.playback
    asked = ""
    for wanted in state.desired.playback:
        level = phrases.volume(wanted.volume if wanted.HasField("volume") else 100, wanted.muted)
        asked = phrases.joined(wanted.device_id or "default speaker", level, phrases.keep(wanted.order.keep))
    if asked or status.state == PlaybackState.PLAYBACK_STATE_PLAYING:
        why = describe_cause(status.cause) if status.HasField("cause") else ""
        yield _Row("speaker", asked, phrases.playback(status), ObjectRef(playback=ObjectRef.Playback()), why=why)
    for report in state.desired.audio_report:
        asked = phrases.joined(f"every {report.interval_ms} ms", phrases.keep(report.order.keep))
        yield _Row("levels", asked, "told to those who watch", ObjectRef(audio_report=ObjectRef.AudioReport()))


def _captures(state: GetStateResponse) -> Iterator[_Row]:
    desired = {capture.source_id: capture for capture in state.desired.captures}
    reported = {capture.source_id: capture for capture in state.reported.captures}
    minimised = {screen.source_id for screen in state.reported.screens if screen.minimised}
    for source_id in sorted({*desired, *reported}):
        wanted, capture = desired.get(source_id), reported.get(source_id)
        asked = is_so = why = ""
        if wanted is not None:
            asked = phrases.joined(sound.capture(wanted), phrases.keep(wanted.order.keep))
        if capture is not None:
            is_so = enum_word(CaptureState, capture.state)
            if capture.state == CaptureState.CAPTURE_STATE_CAPTURING:
                format_now = phrases.video_format(capture.format) or sound.status(capture.audio)
                is_so = phrases.joined(f"{is_so} {format_now}".strip(), capture.input)
                is_so += ", minimised" if source_id in minimised else ""
            elif capture.showing_slate:
                is_so = phrases.joined(is_so, "its slate is shown")
            why = describe_cause(capture.cause) if capture.HasField("cause") else ""
        yield _Row(source_id, asked, is_so, ObjectRef(source_id=source_id), why=why)


def _canvases(state: GetStateResponse) -> Iterator[_Row]:
    desired = {canvas.canvas_id: canvas for canvas in state.desired.canvases}
    reported = {canvas.canvas_id: canvas for canvas in state.reported.canvases}
    for canvas_id in sorted({*desired, *reported}):
        wanted, canvas = desired.get(canvas_id), reported.get(canvas_id)
        asked = is_so = ""
        if wanted is not None:
            where = place_text(wanted.config.place)
            asked = phrases.joined(content_text(wanted.config), where, phrases.keep(wanted.order.keep))
        if canvas is not None:
            on = f" on {canvas.display}" if canvas.display else ""
            is_so = enum_word(CanvasState, canvas.state) + on
        yield _Row(f"canvas {canvas_id}", asked, is_so, ObjectRef(canvas_id=canvas_id))


def _recordings(state: GetStateResponse) -> Iterator[_Row]:
    desired = {recording.recording_id: recording for recording in state.desired.recordings}
    reported = {recording.recording_id: recording for recording in state.reported.recordings}
    for named in sorted({*desired, *reported}):
        wanted, status = desired.get(named), reported.get(named)
        asked = phrases.joined(config_text(wanted.config), phrases.keep(wanted.order.keep)) if wanted else ""
        is_so = phrases.joined(phrases.low(RecordingState, status.state).upper(), status.file) if status else ""
        yield _Row(f"recording {named}", asked, is_so, ObjectRef(recording_id=named))


def _layouts(state: GetStateResponse) -> Iterator[_Row]:
    shown = [one.display_id for one in state.reported.displays.displays if one.has_layout]
    for layout in state.desired.layouts:
        asked = phrases.joined(phrases.low(LayoutMode, layout.mode), phrases.keep(layout.order.keep))
        on = [one for one in shown if layout.display in ("", one)]
        ref = ObjectRef(layout=ObjectRef.LayoutDisplay(display=layout.display))
        yield _Row(describe_object(ref), asked, f"shown on {', '.join(on)}" if on else "not shown", ref)


def _room(wanted: DesiredRoom | None, room: RoomStatus) -> _Row:
    asked = is_so = ""
    if wanted is not None:
        user = f"as {wanted.config.user_id}" if wanted.config.user_id else ""
        asked = phrases.joined(f"in the room {user}".strip(), phrases.keep(wanted.order.keep))
    if room.state:
        is_so = enum_word(RoomState, room.state)
        if room.state == RoomState.ROOM_STATE_JOINED:
            at = f"since {phrases.clock(room.joined_at)}" if room.HasField("joined_at") else ""
            quality = f"{phrases.low(ConnectionQuality, room.quality)} connection" if room.quality else ""
            is_so = phrases.joined(f"{is_so} as {room.user_id}", at, quality, room.server_url)
        else:
            is_so = phrases.joined(is_so, room.server_url, phrases.next_try(room))
    why = describe_cause(room.cause) if room.HasField("cause") else ""
    return _Row("in it", asked, is_so, ObjectRef(room_id=room.room_id), why=why)


def _publications(state: GetStateResponse, room: RoomStatus) -> Iterator[_Row]:
    desired = {stream.source_id: stream for stream in state.desired.streams if stream.room_id == room.room_id}
    reported = {publication.source_id: publication for publication in room.publications}
    for source_id in sorted({*desired, *reported}):
        wanted, publication = desired.get(source_id), reported.get(source_id)
        asked, is_so, why = "published (auto)", "", ""
        if wanted is not None:
            if wanted.HasField("published"):
                asked = "published" if wanted.published else "not published"
            encoder = phrases.encoder(wanted.encoder)
            asked = phrases.joined(asked, encoder, "muted" if wanted.muted else "", phrases.keep(wanted.order.keep))
        if publication is not None:
            is_so = phrases.joined(
                enum_word(PublicationState, publication.state),
                phrases.encoder(publication.encoder) or sound.encoding(publication.audio),
                "muted" if publication.muted else "",
                phrases.media(publication.media_state),
            )
            if publication.state == PublicationState.PUBLICATION_STATE_PUBLISHED and not publication.first_frame_sent:
                is_so += ", no frame sent yet"
            why = describe_cause(publication.cause) if publication.HasField("cause") else ""
        ref = ObjectRef(stream=ObjectRef.Stream(room_id=room.room_id, source_id=source_id))
        yield _Row(f"send {source_id}", asked, is_so, ref, why=why)


def _users(state: GetStateResponse, room: RoomStatus) -> Iterator[_Row]:
    wanted = [one for one in state.desired.subscriptions if one.room_id == room.room_id]
    volumes = {one.user_id: one for one in state.desired.remote_volumes if one.room_id == room.room_id}
    present = {user.user_id: user for user in room.users}
    for user_id in sorted({*present, *volumes, *(one.user_id for one in wanted)}):
        user = present.get(user_id)
        quality = phrases.low(ConnectionQuality, user.quality) if user is not None else ""
        is_so = phrases.joined("in the room", f"{quality} connection" if quality else "") if user else "not in the room"
        yield _Row(f"user {user_id}", "", is_so)
        if (volume := volumes.get(user_id)) is not None:
            asked = phrases.volume(volume.volume if volume.HasField("volume") else 100, volume.muted)
            ref = ObjectRef(remote_volume=ObjectRef.RemoteUser(room_id=room.room_id, user_id=user_id))
            yield _Row("heard", phrases.joined(asked, phrases.keep(volume.order.keep)), "", ref, depth=1)
        orders = [one for one in wanted if one.user_id == user_id]
        for stream in user.streams if user is not None else ():
            order = next((one for one in orders if _is_about(one, stream)), None)
            if order in orders and order is not None and order.name:
                orders.remove(order)
            yield _remote(room.room_id, user_id, stream, order)
        matched = user.streams if user is not None else ()
        for order in orders:
            if not any(_is_about(order, stream) for stream in matched):
                yield _remote(room.room_id, user_id, None, order)


def _is_about(order: DesiredSubscription, stream: RemoteStream) -> bool:
    kind = order.kind or StreamKind.STREAM_KIND_CAMERA
    return kind == stream.kind and order.name in ("", stream.name)


def _remote(room_id: str, user_id: str, stream: RemoteStream | None, order: DesiredSubscription | None) -> _Row:
    kind, name = (stream.kind, stream.name) if stream is not None else (order.kind, order.name) if order else (0, "")
    asked = is_so = why = ""
    ref = None
    if order is not None:
        asked = "received" if order.subscribed else "not received"
        # the object is what was ordered: of every stream of the kind where no name was given
        remote = ObjectRef.RemoteStream(room_id=room_id, user_id=user_id, kind=order.kind, name=order.name)
        ref = ObjectRef(remote_stream=remote)
    if stream is not None:
        size = f"{stream.width}x{stream.height}" if stream.width else ""
        is_so = phrases.joined(
            enum_word(SubscriptionState, stream.subscription) if stream.subscription else "published",
            size,
            "muted" if stream.muted else "",
        )
        why = describe_cause(stream.cause) if stream.HasField("cause") else ""
    return _Row(
        describe_remote_stream(kind or StreamKind.STREAM_KIND_CAMERA, name), asked, is_so, ref, depth=1, why=why
    )


def _key(ref: ObjectRef) -> bytes:
    return ref.SerializeToString(deterministic=True)
