"""Short phrases for the parts that several views show: times, formats, inputs, encoders, orders."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.v1.state_pb2 import MediaState, OrderInfo, PlaybackState, PlaybackStatus, RoomStatus
from rtcagent.v1.types_pb2 import (
    CaptureConfig,
    ContentHint,
    EncoderChoice,
    Keep,
    PixelFormat,
    Rotation,
    Slate,
    StreamKind,
    VideoCodec,
    VideoEncoderConfig,
    VideoFormat,
    VideoInput,
    VideoMirror,
)

from rtcagent_client.words import enum_word


def local(at: Timestamp) -> datetime:
    return datetime.fromtimestamp(at.seconds + at.nanos / 1e9).astimezone()


def clock(at: Timestamp) -> str:
    """The local time of day, with the date where it is another day."""
    time = local(at)
    today = datetime.now().astimezone().date()
    return time.strftime("%H:%M:%S" if time.date() == today else "%Y-%m-%d %H:%M:%S")


def joined(*parts: str) -> str:
    """The parts that say something, with commas."""
    return ", ".join(part for part in parts if part)


def low(enum: object, value: int) -> str:
    """An enum value in words: "screen audio"; empty for UNSPECIFIED."""
    return enum_word(enum, value).lower().replace("_", " ") if value else ""


def plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def video_format(video: VideoFormat) -> str:
    """ "1280x720 30 fps" """
    size = f"{video.width or '?'}x{video.height or '?'}" if video.width or video.height else ""
    return f"{size} {video.max_fps:.4g} fps".strip() if video.max_fps else size


def screen_input(wanted: VideoInput.Screen) -> str:
    """ "window 0x1c00007, 640x360+10+20 of it, without pointer" """
    target = f"window {wanted.window_id}" if wanted.window_id else f"display {wanted.display_id or '(primary)'}"
    region = wanted.region
    part = f"{region.width}x{region.height}{region.x:+d}{region.y:+d} of it" if region.width else ""
    hint = low(ContentHint, wanted.content_hint) if wanted.content_hint else ""
    return joined(target, part, "without pointer" if wanted.hide_cursor else "", hint)


def video_input(wanted: VideoInput) -> str:
    match wanted.WhichOneof("input"):
        case "camera":
            camera = wanted.camera
            text = f"slot {camera.slot}" if camera.slot else f"camera {camera.device_id}".strip()
            pixels = enum_word(PixelFormat, camera.pixel_format) if camera.pixel_format else ""
            opened = f"{video_format(camera.format)} {pixels}".strip()
            return f"{text} opened in {opened}" if opened else text
        case "rtsp":
            return wanted.rtsp.url
        case "file":
            return f"{wanted.file.path}{' in a loop' if wanted.file.loop else ''}"
        case "test_pattern":
            kind = low(VideoInput.TestPattern.Kind, wanted.test_pattern.kind)
            return f"test picture ({kind})" if kind else "test picture"
        case "screen":
            return screen_input(wanted.screen)
        case _:
            return "first camera or its slot"


def capture_config(config: CaptureConfig) -> str:
    turned = f"turned {enum_word(Rotation, config.rotation)}°" if config.rotation > Rotation.ROTATION_0 else ""
    kind = "" if config.kind in (0, StreamKind.STREAM_KIND_CAMERA) else f"as {low(StreamKind, config.kind)}"
    mirrored = "mirrored" if config.mirror or config.mirror_in == VideoMirror.VIDEO_MIRROR_BOTH else ""
    if config.mirror_in in (VideoMirror.VIDEO_MIRROR_LOCAL_VIEW, VideoMirror.VIDEO_MIRROR_SENT):
        mirrored = f"mirrored in {low(VideoMirror, config.mirror_in).replace('_', ' ')}"
    look = joined(video_format(config.output), turned, mirrored, encoder(config.encoder))
    return joined(video_input(config.input), look, kind, slate(config.slate))


def slate(wanted: Slate) -> str:
    if wanted.mode == Slate.MODE_OFF:
        return "without slate"
    if wanted.picture:
        return f"slate {wanted.picture}"
    words = " ".join(repr(text) for text in (wanted.title, wanted.text) if text)
    return f"slate {words}" if words else "with slate" if wanted.mode == Slate.MODE_SHOWN else ""


def bitrate(bps: int) -> str:
    if not bps:
        return ""
    return f"{bps / 1e6:.4g} Mbit/s" if bps >= 1e6 else f"{bps / 1e3:.4g} kbit/s"


def encoder(config: VideoEncoderConfig) -> str:
    codec = enum_word(VideoCodec, config.codec) if config.codec else ""
    rate = f"{config.max_fps:.4g} fps" if config.max_fps else ""
    layers = config.scalability_mode or ("simulcast" if config.simulcast else "")
    by = f"by {low(EncoderChoice, config.encoder)}" if config.encoder else ""
    return joined(codec, bitrate(config.max_bitrate_bps), rate, layers, by)


_MEDIA = {
    MediaState.MEDIA_STATE_LIVE: "live",
    MediaState.MEDIA_STATE_PAUSED: "paused, as nobody takes it",
    MediaState.MEDIA_STATE_NO_FRAMES: "the source delivers no frames",
    MediaState.MEDIA_STATE_STALLED: "its frames do not get through",
    MediaState.MEDIA_STATE_SLATE: "its slate is shown",
}


def media(state: int) -> str:
    """How far the frames of an own stream get; empty where that is not known."""
    return _MEDIA.get(state, low(MediaState, state))  # type: ignore[call-overload, no-any-return]


def volume(percent: int, muted: bool) -> str:
    return joined(f"{percent} %", "muted" if muted else "")


def playback(status: PlaybackStatus) -> str:
    """ "PLAYING on Built-in Audio, 100 %" """
    state = enum_word(PlaybackState, status.state)
    on = f" on {status.device_name or status.device_id}" if status.device_id else ""
    return joined(f"{state}{on}", volume(status.volume, status.muted))


def keep(how: Keep) -> str:
    match how.kind:
        case Keep.KIND_FOREVER:
            return "forever"
        case Keep.KIND_UNTIL:
            return f"until {clock(how.until)}"
        case Keep.KIND_UNTIL_ALONE:
            return f"until alone for {how.alone_s} s"
        case Keep.KIND_THIS_BOOT:
            return "this boot"
        case _:
            return ""


def ordered(order: OrderInfo) -> str:
    """Who asked, when: "unix:control at 14:02:11 (revision 3)"."""
    who = order.controller.identity or "somebody"
    at = f" at {clock(order.at)}" if order.HasField("at") else ""
    return f"{who}{at} (revision {order.revision})"


def next_try(room: RoomStatus) -> str:
    """What is said about the tries of a room that is not joined."""
    if not room.attempt_count:
        return ""
    return f"{plural(room.attempt_count, 'try').replace('trys', 'tries')} failed"
