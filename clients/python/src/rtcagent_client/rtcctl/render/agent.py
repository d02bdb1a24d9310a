"""What `rtcctl agent` and `rtcctl desired` show."""

from rtcagent.v1.agent_pb2 import Capability, GetAgentResponse
from rtcagent.v1.state_pb2 import DesiredState, EngineState, EngineStatus
from rtcagent.v1.types_pb2 import LayoutMode, RoomProfile, Slot, StreamKind

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases, sound
from rtcagent_client.rtcctl.render.canvases import content_text, place_text
from rtcagent_client.rtcctl.render.recordings import config_text
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream, enum_word


def engine_text(engine: EngineStatus) -> str:
    """ "livekit 1.2.1 RUNNING (generation 3, pid 4242)" """
    kind = engine.kind or "engine"
    name = engine.version if engine.version.startswith(kind) else f"{kind} {engine.version}".strip()
    process = phrases.joined(
        f"generation {engine.generation}" if engine.generation else "", f"pid {engine.pid}" if engine.pid else ""
    )
    text = f"{name} {enum_word(EngineState, engine.state)}{f' ({process})' if process else ''}"
    return f"{text}: {describe_cause(engine.cause)}" if engine.HasField("cause") else text


def show_agent(agent: GetAgentResponse, address: str, screen: Screen) -> None:
    limits = agent.limits
    tokens = "yes" if agent.can_mint_tokens else "no: join with --server and --room-token-file"
    rows = [
        ("agent", agent.name),
        ("address", address),
        ("rtcagentd", agent.version),
        ("engine", engine_text(agent.engine)),
        ("room server", agent.default_server_url or "none: join with --server"),
        ("mints tokens", tokens),
        ("can", ", ".join(phrases.low(Capability, one) for one in agent.capabilities) or "not known yet"),
        (
            "limits",
            phrases.joined(
                *(
                    f"{word} {number}"
                    for word, number in (
                        ("rooms", limits.max_rooms),
                        ("rooms published into", limits.max_publishing_rooms),
                        ("video sources", limits.max_video_sources),
                        ("extra_info bytes", limits.max_extra_info_bytes),
                    )
                    if number
                )
            )
            or "none known",
        ),
        ("room profiles", ", ".join(phrases.low(RoomProfile, one) for one in limits.room_profiles) or "not known yet"),
    ]
    screen.table([(screen.paint(name, "dim"), text) for name, text in rows])


def show_desired(desired: DesiredState, screen: Screen) -> None:
    rows = [("WHAT", "HOW", "HOLDS", "ASKED FOR BY")]
    for room in desired.rooms:
        config = room.config
        text = phrases.joined(
            f"as {config.user_id}" if config.user_id else "",
            f"on {config.server_url}" if config.server_url else "",
            "with a token" if room.has_token else "",
            "" if config.auto_publish else "no auto_publish",
            "" if config.auto_subscribe_audio else "no auto_subscribe_audio",
            "" if config.auto_subscribe_video else "no auto_subscribe_video",
        )
        rows.append((f"room {config.room_id}", text, phrases.keep(room.order.keep), phrases.ordered(room.order)))
    for capture in desired.captures:
        what = f"capture {capture.source_id}"
        order = capture.order
        rows.append((what, sound.capture(capture), phrases.keep(order.keep), phrases.ordered(order)))
    for stream in desired.streams:
        published = ("published" if stream.published else "unpublished") if stream.HasField("published") else ""
        text = phrases.joined(published, phrases.encoder(stream.encoder), "muted" if stream.muted else "")
        what = f"stream {stream.room_id}/{stream.source_id}"
        rows.append((what, text, phrases.keep(stream.order.keep), phrases.ordered(stream.order)))
    for wanted in desired.subscriptions:
        what = f"{wanted.user_id}'s {describe_remote_stream(wanted.kind or StreamKind.STREAM_KIND_CAMERA, wanted.name)}"
        text = "subscribed" if wanted.subscribed else "unsubscribed"
        order = wanted.order
        rows.append((f"{what} in {wanted.room_id}", text, phrases.keep(order.keep), phrases.ordered(order)))
    for slot in desired.slots:
        text = " or ".join(match_text(match) for match in slot.slot.matches)
        rows.append((f"slot {slot.slot.name}", text, phrases.keep(slot.order.keep), phrases.ordered(slot.order)))
    for canvas in desired.canvases:
        text = f"{content_text(canvas.config)}, {place_text(canvas.config.place)}"
        rows.append(
            (f"canvas {canvas.canvas_id}", text, phrases.keep(canvas.order.keep), phrases.ordered(canvas.order))
        )
    for recording in desired.recordings:
        order = recording.order
        what = f"recording {recording.recording_id}"
        rows.append((what, config_text(recording.config), phrases.keep(order.keep), phrases.ordered(order)))
    for layout in desired.layouts:
        what = f"default layout on {layout.display or 'every display'}"
        order = layout.order
        rows.append((what, phrases.low(LayoutMode, layout.mode), phrases.keep(order.keep), phrases.ordered(order)))
    if len(rows) == 1:
        screen.line(f"nothing is asked for (revision {desired.revision})")
        return
    screen.table([tuple(screen.paint(cell, "dim") for cell in rows[0]), *rows[1:]])
    screen.line(screen.paint(f"revision {desired.revision}", "dim"))


def match_text(match: Slot.Match) -> str:
    """ "serial A123 at USB port 1-2" """
    parts = [
        f"device {match.device_id}" if match.device_id else "",
        f"serial {match.serial}" if match.serial else "",
        f"name {match.name}" if match.name else "",
        f"at USB port {match.usb_port}" if match.usb_port else "",
        f"ALSA card {match.alsa_card}" if match.alsa_card else "",
    ]
    return " ".join(part for part in parts if part)
