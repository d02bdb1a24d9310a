"""Names for enum values and objects: "vp8" for VIDEO_CODEC_VP8, "stream demo/camera" for an ObjectRef."""

from typing import Any, TypeVar

from rtcagent.v1.types_pb2 import ObjectRef, StreamKind

E = TypeVar("E", bound=int)


def _prefix(enum: Any) -> str:
    """What all names of the enum begin with: that of the zero value without UNSPECIFIED."""
    zero: str = enum.Name(0)
    return zero.removesuffix("UNSPECIFIED")


def enum_word(enum: Any, value: int) -> str:
    """The name of a value without its prefix, "REACHED"; the number where this version does not know it."""
    try:
        name: str = enum.Name(value)
    except ValueError:
        return str(value)
    return name.removeprefix(_prefix(enum))


def enum_words(enum: Any) -> list[str]:
    """Every name that may be asked for, in lower case with hyphens."""
    return [enum_word(enum, value).lower().replace("_", "-") for value in enum.values() if value != 0]


def enum_value(enum: Any, value: int | str | None) -> Any:
    """The value of a name ("vp8", "other-video"); None and "" are UNSPECIFIED. ValueError names the choices."""
    if value is None or value == "":
        return 0
    if isinstance(value, int):
        return value
    try:
        return enum.Value(_prefix(enum) + value.upper().replace("-", "_"))
    except ValueError:
        raise ValueError(f"{value!r} is none of {', '.join(enum_words(enum))}") from None


def describe_remote_stream(kind: int, name: str) -> str:
    """ "camera", or "camera front" where the stream has a name of its own."""
    word = enum_word(StreamKind, kind).lower().replace("_", " ") if kind else "every stream"
    return word if not name or name == word.replace(" ", "_") else f"{word} {name}"


def describe_object(ref: ObjectRef) -> str:
    """ "room demo", "stream demo/camera", "ann's camera in demo"."""
    match ref.WhichOneof("object"):
        case "room_id":
            return f"room {ref.room_id}"
        case "source_id":
            return f"capture {ref.source_id}"
        case "stream":
            return f"stream {ref.stream.room_id}/{ref.stream.source_id}"
        case "remote_stream":
            remote = ref.remote_stream
            return f"{remote.user_id}'s {describe_remote_stream(remote.kind, remote.name)} in {remote.room_id}"
        case "slot":
            return f"slot {ref.slot}"
        case "playback":
            return "speaker"
        case "remote_volume":
            return f"volume of {ref.remote_volume.user_id} in {ref.remote_volume.room_id}"
        case "audio_report":
            return "report of audio properties"
        case "canvas_id":
            return f"canvas {ref.canvas_id}"
        case "recording_id":
            return f"recording {ref.recording_id}"
        case "layout":
            return f"default layout on {ref.layout.display or 'every display'}"
        case _:
            return "order"
