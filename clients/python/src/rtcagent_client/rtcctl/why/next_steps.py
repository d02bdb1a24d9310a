"""The next step to take, for each reason that a link may be broken for."""

from rtcagent.v1.types_pb2 import Reason

DOCTOR = "on the agent's machine: rtcctl doctor"

_STEPS = {
    Reason.REASON_ENGINE_STARTING: f"wait a moment; when it does not start, {DOCTOR}",
    Reason.REASON_SERVER_UNREACHABLE: "start the room server, or look why the agent's machine does not reach it "
    f"(name, route, firewall); {DOCTOR}. It is tried again without end",
    Reason.REASON_NETWORK_LOST: "look at the agent's network; the connection is restored as soon as that works",
    Reason.REASON_DEVICE_ABSENT: "plug the device in, or choose another: rtcctl devices, rtcctl slots",
    Reason.REASON_DEVICE_BUSY: "end the other program that has the device open (fuser -v /dev/video*)",
    Reason.REASON_CAPTURE_FAILED: f"look at the device or the address that it is captured from; {DOCTOR}",
    Reason.REASON_SOURCE_NOT_CAPTURED: "ask for it to be captured: rtcctl camera on",
    Reason.REASON_ROOM_NOT_JOINED: "ask for the agent to be in the room: rtcctl join",
    Reason.REASON_STREAM_NOT_PUBLISHED: "wait for the other user to publish it",
    Reason.REASON_SERVER_ERROR: "look into the room server's log; it is tried again without end",
    Reason.REASON_ROOM_CLOSED: "nothing: the room is joined again by itself",
    Reason.REASON_TIMEOUT: f"it is tried again by itself; when it goes on, {DOCTOR}",
    Reason.REASON_TOKEN_ENDPOINT_UNREACHABLE: "look at the token endpoint and the way to it; it is asked without end",
    Reason.REASON_MEDIA_STALLED: "it is being repaired; when it goes on, look whether UDP passes to the room server",
    Reason.REASON_CLOCK_WRONG: "set the clock of the agent's machine (timedatectl set-ntp true), or the room server's",
    Reason.REASON_TOKEN_REJECTED: "join again with a fresh token for this room and user, or correct the key in "
    f"[room_server]; a wrong clock makes tokens void too: {DOCTOR}",
    Reason.REASON_NO_PERMISSION: "join again with a token that allows publishing",
    Reason.REASON_KICKED_OUT: "talk to whoever removed it, then join again: rtcctl join",
    Reason.REASON_DUPLICATE_USER: "give this agent a user_id of its own (rtcctl join --user), or end the other one",
    Reason.REASON_FORMAT_UNSUPPORTED: "ask for a format that the device has: rtcctl devices",
    Reason.REASON_UNSUPPORTED_BY_ENGINE: "do without it, or use another engine: rtcctl agent shows what it can do",
    Reason.REASON_LIMIT_REACHED: "end something else first: rtcctl agent shows the limits",
    Reason.REASON_URL_INVALID: "correct the address and order it again",
    Reason.REASON_ROOM_NOT_FOUND: "create the room on the server, or let the server create rooms as they are joined",
    Reason.REASON_TOKEN_ENDPOINT_REFUSED: "look at the token endpoint's answer for this room and user",
    Reason.REASON_MESSAGE_TOO_LARGE: "let it be sent in parts of at most 16 MiB, or over another way",
    Reason.REASON_QUARANTINED: f"order it anew, or change its device, to try it once more; before that, {DOCTOR}",
    Reason.REASON_ORDERED: "wait a moment: it is being carried out",
    Reason.REASON_KEEP_ENDED: "order it again, with another --keep if it is to stay",
    Reason.REASON_END_OF_MEDIA: "play it in a loop (--loop), or choose another source",
    Reason.REASON_ENGINE_LOST: f"wait a moment: the engine is being replaced; when that repeats, {DOCTOR}",
    Reason.REASON_DEVICE_UNPLUGGED: "plug the device in again",
    Reason.REASON_STORE_FAILED: f"make room on the agent's disk, or repair it; {DOCTOR}",
    Reason.REASON_WINDOW_CLOSED: "share another window: rtcctl screens, rtcctl screen on --window ID",
    Reason.REASON_NO_DISPLAY: "start the desktop, and the engine in its session with DISPLAY or WAYLAND_DISPLAY set",
    Reason.REASON_PORTAL_MISSING: "install or start what is missing; it is tried again by itself (docs/screen.md)",
    Reason.REASON_SHARE_DENIED: "ask the person at the machine to allow it, then order it again: rtcctl screen on",
    Reason.REASON_SHARE_UNANSWERED: "ask the person at the machine to choose what is shared",
    Reason.REASON_NO_SOUND_SERVER: "start PulseAudio, or PipeWire with pipewire-pulse, for the engine's user "
    f"(docs/audio.md); it is looked for without end. {DOCTOR}",
    Reason.REASON_PLAYBACK_FAILED: "look at the speaker (pactl list sinks), or choose another: rtcctl speaker device",
    Reason.REASON_DISPLAY_SHARED: "wait until the display is not shared any more, or share a window instead",
    Reason.REASON_DISPLAY_UNABLE: "show it full screen, or run another compositor: rtcctl displays says what it lacks",
    Reason.REASON_STREAM_NOT_SUBSCRIBED: "subscribe to the stream: rtcctl subscribe, or join with auto_subscribe_video",
    Reason.REASON_RECORDING_LIMIT: "nothing: it is as long as it was to be; rtcctl record get fetches it",
    Reason.REASON_DISK_LOW: "make room on the agent's disk: rtcctl record delete; it goes on by itself",
    Reason.REASON_FOLDER_UNUSABLE: "look at [recording] folder in the agent's configuration: docs/recording.md",
    Reason.REASON_INTERNAL: "pack a bundle for support: rtcctl bundle fault.tar.gz",
}


# The same reasons, where it is a source that they are about.
_SOURCE_STEPS = {
    Reason.REASON_SERVER_UNREACHABLE: "look at the camera's or stream's address, and the way to it; tried without end",
    Reason.REASON_TIMEOUT: f"look at the device or the address that it is captured from; {DOCTOR}",
}


def next_step(reason: int, link: str = "") -> str:
    """What to do; for a reason that this version does not know, where to look."""
    if link in ("device", "capture") and reason in _SOURCE_STEPS:
        return _SOURCE_STEPS[Reason.ValueType(reason)]
    return _STEPS.get(Reason.ValueType(reason), f"watch what happens: rtcctl watch; {DOCTOR}")
