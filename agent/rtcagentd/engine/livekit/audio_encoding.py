"""How a stream of sound is encoded: what each audio profile means."""

from livekit import rtc
from livekit.rtc._proto import room_pb2 as proto_room
from livekit.rtc._proto import track_pb2 as proto_track
from rtcagent.v1 import types_pb2 as types

TRACK_SOURCE: dict[types.StreamKind.ValueType, proto_track.TrackSource.ValueType] = {
    types.STREAM_KIND_MICROPHONE: proto_track.TrackSource.SOURCE_MICROPHONE,
    types.STREAM_KIND_SCREEN_AUDIO: proto_track.TrackSource.SOURCE_SCREENSHARE_AUDIO,
    types.STREAM_KIND_OTHER_AUDIO: proto_track.TrackSource.SOURCE_UNKNOWN,
}

# (channels, bitrate, dtx, red). RED repeats each packet; DTX would chop music. All are mono: the room server lets
# a stream be stereo only if it is asked for TF_STEREO at publishing, and this SDK never does (livekit/rust-sdks #1018).
_PROFILE = {
    types.AUDIO_PROFILE_VOICE: (1, 28_000, True, True),
    types.AUDIO_PROFILE_STANDARD: (1, 48_000, False, True),
    types.AUDIO_PROFILE_HD: (1, 64_000, False, True),
    types.AUDIO_PROFILE_MUSIC: (1, 128_000, False, False),
}


def is_audio(kind: types.StreamKind.ValueType) -> bool:
    return kind in TRACK_SOURCE


def encoding_of(profile: types.AudioProfile.ValueType) -> types.AudioEncoding:
    """Everything that the profile leaves to the engine."""
    profile = profile or types.AUDIO_PROFILE_STANDARD
    channels, bitrate, dtx, red = _PROFILE[profile]
    return types.AudioEncoding(profile=profile, channels=channels, max_bitrate_bps=bitrate, dtx=dtx, red=red)


def publish_options(encoding: types.AudioEncoding, kind: types.StreamKind.ValueType) -> rtc.TrackPublishOptions:
    return rtc.TrackPublishOptions(
        source=TRACK_SOURCE[kind],
        audio_encoding=proto_room.AudioEncoding(max_bitrate=encoding.max_bitrate_bps),
        dtx=encoding.dtx,
        red=encoding.red,
    )
