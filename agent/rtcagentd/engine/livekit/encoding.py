"""How a stream is encoded: the publish options for an order, with what it leaves open chosen by size and rate."""

from livekit import rtc
from livekit.rtc._proto import room_pb2 as proto_room
from livekit.rtc._proto import track_pb2 as proto_track
from livekit.rtc._proto import video_frame_pb2 as proto_video
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.capture_settings import DEFAULT_FORMAT
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.livekit import audio_encoding, encoders

_CODEC = {
    types.VIDEO_CODEC_VP8: proto_video.VideoCodec.VP8,
    types.VIDEO_CODEC_VP9: proto_video.VideoCodec.VP9,
    types.VIDEO_CODEC_H264: proto_video.VideoCodec.H264,
    types.VIDEO_CODEC_AV1: proto_video.VideoCodec.AV1,
}

_DEGRADATION = {
    types.DEGRADATION_PREFERENCE_MAINTAIN_RESOLUTION: proto_room.DEGRADATION_PREFERENCE_MAINTAIN_RESOLUTION,
    types.DEGRADATION_PREFERENCE_MAINTAIN_FRAMERATE: proto_room.DEGRADATION_PREFERENCE_MAINTAIN_FRAMERATE,
    types.DEGRADATION_PREFERENCE_BALANCED: proto_room.DEGRADATION_PREFERENCE_BALANCED,
    types.DEGRADATION_PREFERENCE_MAINTAIN_BOTH: proto_room.DEGRADATION_PREFERENCE_MAINTAIN_FRAMERATE_AND_RESOLUTION,
}

_ENCODER = {
    types.ENCODER_CHOICE_UNSPECIFIED: proto_room.ENCODER_BACKEND_AUTO,
    types.ENCODER_CHOICE_SOFTWARE: proto_room.ENCODER_BACKEND_SOFTWARE,
    types.ENCODER_CHOICE_HARDWARE: proto_room.ENCODER_BACKEND_HARDWARE,
    types.ENCODER_CHOICE_NVENC: proto_room.ENCODER_BACKEND_NVENC,
    types.ENCODER_CHOICE_VAAPI: proto_room.ENCODER_BACKEND_VAAPI,
}

_SVC = (types.VIDEO_CODEC_VP9, types.VIDEO_CODEC_AV1)  # layers within one stream
_SVC_MODE = "L3T3_KEY"

_TRACK_SOURCE: dict[types.StreamKind.ValueType, proto_track.TrackSource.ValueType] = {
    types.STREAM_KIND_CAMERA: proto_track.TrackSource.SOURCE_CAMERA,
    types.STREAM_KIND_SCREEN: proto_track.TrackSource.SOURCE_SCREENSHARE,
    types.STREAM_KIND_OTHER_VIDEO: proto_track.TrackSource.SOURCE_UNKNOWN,
}

_FULL_SCREEN = (1920, 1080)
_REFERENCE_BPS = 2_000_000  # for 1280x720 at 30 in VP8
# Newer codecs reach the same picture with less.
_CODEC_FACTOR = {types.VIDEO_CODEC_VP9: 0.75, types.VIDEO_CODEC_AV1: 0.65}


def stream_kind(source: int, is_video: bool) -> types.StreamKind.ValueType:
    """The kind of a track as another participant published it."""
    for kind, track_source in _TRACK_SOURCE.items():
        if is_video and track_source == source:
            return kind
    for kind, track_source in audio_encoding.TRACK_SOURCE.items():
        if not is_video and track_source == source:
            return kind
    return types.STREAM_KIND_OTHER_VIDEO if is_video else types.STREAM_KIND_OTHER_AUDIO


def track_source(kind: types.StreamKind.ValueType) -> proto_track.TrackSource.ValueType:
    """The SDK's name of a stream kind; EngineError for kinds that this engine cannot send."""
    kind = kind or types.STREAM_KIND_CAMERA
    if audio_encoding.is_audio(kind):
        return audio_encoding.TRACK_SOURCE[kind]
    if kind not in _TRACK_SOURCE:
        name = types.StreamKind.Name(kind).removeprefix("STREAM_KIND_").lower()
        raise EngineError(
            types.REASON_UNSUPPORTED_BY_ENGINE, f"this engine does not publish streams of kind {name} yet"
        )
    return _TRACK_SOURCE[kind]


def complete_format(asked: types.VideoFormat, captured: types.VideoFormat | None) -> types.VideoFormat:
    """The size and rate to publish with: of the source where it is open, else as ordered, else the default."""
    known = captured or asked
    return types.VideoFormat(
        width=known.width or DEFAULT_FORMAT.width,
        height=known.height or DEFAULT_FORMAT.height,
        max_fps=known.max_fps or asked.max_fps or DEFAULT_FORMAT.max_fps,
    )


def room_to_grow(size: types.VideoFormat) -> types.VideoFormat:
    """The size to choose the bitrate for, of a screen: a window that is small now may fill it next, and its stream is
    to go on without a gap. It is what a stream may take at the most, and not what it takes.
    """
    if size.width * size.height >= _FULL_SCREEN[0] * _FULL_SCREEN[1]:
        return size
    return types.VideoFormat(width=_FULL_SCREEN[0], height=_FULL_SCREEN[1], max_fps=size.max_fps)


def complete_encoder(asked: types.VideoEncoderConfig, size: types.VideoFormat) -> types.VideoEncoderConfig:
    """`asked` with everything chosen. EngineError for what the SDK cannot do."""
    if asked.min_bitrate_bps:
        raise _unsupported("min_bitrate_bps", "sets no lower bound of the bitrate")
    if asked.layers:
        raise _unsupported("layers", "chooses the sizes of simulcast layers itself")
    if not encoders.is_present(asked.encoder):
        name = types.EncoderChoice.Name(asked.encoder).removeprefix("ENCODER_CHOICE_")
        raise _unsupported("encoder", f"finds no {name} encoder on this machine (`rtcctl encoders` says why)")
    codec = asked.codec or types.VIDEO_CODEC_VP8
    fps = asked.max_fps or size.max_fps
    return types.VideoEncoderConfig(
        codec=codec,
        max_bitrate_bps=asked.max_bitrate_bps or _bitrate(size, fps, codec),
        max_fps=fps,
        simulcast=asked.simulcast,
        degradation=asked.degradation or types.DEGRADATION_PREFERENCE_MAINTAIN_RESOLUTION,
        scalability_mode=asked.scalability_mode or (_SVC_MODE if asked.simulcast and codec in _SVC else ""),
        encoder=asked.encoder,
    )


def publish_options(encoder: types.VideoEncoderConfig, request: contract.PublishRequest) -> rtc.TrackPublishOptions:
    """The SDK's options; `encoder` is complete."""
    options = rtc.TrackPublishOptions(
        source=track_source(request.kind),
        video_codec=_CODEC[encoder.codec],
        video_encoding=rtc.VideoEncoding(max_bitrate=encoder.max_bitrate_bps, max_framerate=encoder.max_fps),
        simulcast=encoder.simulcast and not encoder.scalability_mode,
        degradation_preference=_DEGRADATION[encoder.degradation],
        video_encoder=_ENCODER[encoder.encoder],
    )
    if encoder.scalability_mode:
        options.scalability_mode = encoder.scalability_mode
    return options


def _unsupported(field: str, what: str) -> EngineError:
    return EngineError(types.REASON_UNSUPPORTED_BY_ENGINE, f"{field}: LiveKit's SDK {what}")


def _bitrate(size: types.VideoFormat, fps: float, codec: types.VideoCodec.ValueType) -> int:
    # Larger pictures and faster ones need less for each pixel.
    pixels = size.width * size.height / (1280 * 720)
    rate = _REFERENCE_BPS * pixels**0.75 * (fps / 30) ** 0.6 * _CODEC_FACTOR.get(codec, 1.0)
    return int(min(max(rate, 100_000), 15_000_000))
