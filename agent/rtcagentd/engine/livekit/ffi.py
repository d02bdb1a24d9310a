"""Loads liblivekit_ffi, and puts the native frame path into it: frames come and go without Python."""

import ctypes
from dataclasses import dataclass

from livekit.rtc import _ffi_client
from livekit.rtc._proto import audio_frame_pb2 as proto_audio
from livekit.rtc._proto import ffi_pb2 as proto_ffi
from livekit.rtc._proto import track_publication_pb2 as proto_publication
from livekit.rtc._proto import video_frame_pb2 as proto_video
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native

# Frames that may wait for the native callback; it takes them at once, so more would only be late ones.
_QUEUED_FRAMES = 2
_QUEUED_SOUND = 20  # of 10 ms


@dataclass(frozen=True)
class LoadedFfi:
    """The native ends of the SDK's library."""

    entry: _native.Ffi
    received: _native.ReceivedFrames
    python_callback: object  # kept for as long as the library calls it: for the life of the process


_loaded: LoadedFfi | None = None


class _Client(_ffi_client.FfiClient):
    """The SDK's client, without its own retries of a join: the daemon retries, in sight of everybody, and an attempt
    cannot be taken back while it lasts.
    """

    def request(self, req: proto_ffi.FfiRequest) -> proto_ffi.FfiResponse:
        if req.WhichOneof("message") == "connect":
            req.connect.options.join_retries = 0
        return super().request(req)


def load() -> LoadedFfi:
    """Load the library once. Must come before any other use of the SDK: it takes the one event callback."""
    global _loaded
    if _loaded is not None:
        return _loaded
    if _ffi_client.FfiClient._instance is not None:
        raise RuntimeError("the LiveKit SDK was used before its event callback was replaced")
    library = _ffi_client.get_ffi_lib()
    entry = _native.Ffi(_address(library.livekit_ffi_request), _address(library.livekit_ffi_drop_handle))
    received = _native.ReceivedFrames(entry, _address(_ffi_client.ffi_event_callback))
    python_callback = _ffi_client.ffi_event_callback
    _ffi_client.ffi_event_callback = _ffi_client.ffi_cb_fnc(received.callback_address)
    _ffi_client.FfiClient._instance = _Client()
    _loaded = LoadedFfi(entry, received, python_callback)
    return _loaded


def set_quality(publication_handle: int, quality: types.StreamQuality) -> None:
    """Say in which layer, or for which size, another user's video is to be sent. The SDK does not wrap these."""
    request = proto_ffi.FfiRequest()
    if quality.width and quality.height:
        request.update_remote_track_publication_dimension.track_publication_handle = publication_handle
        request.update_remote_track_publication_dimension.width = quality.width
        request.update_remote_track_publication_dimension.height = quality.height
    else:
        request.set_remote_track_publication_quality.track_publication_handle = publication_handle
        request.set_remote_track_publication_quality.quality = _LAYERS.get(
            quality.layer, proto_publication.VIDEO_QUALITY_HIGH
        )
    _ffi_client.FfiClient.instance.request(request)


_LAYERS = {
    types.StreamQuality.LAYER_LOW: proto_publication.VIDEO_QUALITY_LOW,
    types.StreamQuality.LAYER_MEDIUM: proto_publication.VIDEO_QUALITY_MEDIUM,
}


class ReceivedStream:
    """The frames of one subscribed video track, taken natively until `close`."""

    def __init__(self, track_handle: int) -> None:
        request = proto_ffi.FfiRequest()
        request.new_video_stream.track_handle = track_handle
        request.new_video_stream.type = proto_video.VideoStreamType.VIDEO_STREAM_NATIVE
        request.new_video_stream.normalize_stride = True
        request.new_video_stream.queue_size_frames = _QUEUED_FRAMES
        response = _ffi_client.FfiClient.instance.request(request)
        self._handle = _ffi_client.FfiHandle(response.new_video_stream.stream.handle.id)
        self._received = load().received
        self._received.watch(self._handle.handle)

    def stats(self) -> _native.ReceivedStats | None:
        return self._received.stats(self._handle.handle)

    def snapshot(self, image_format: str) -> _native.Snapshot | None:
        """Encodes a picture: for another thread than the loop's."""
        return self._received.snapshot(self._handle.handle, image_format)

    def attach(self, tap: _native.VideoTap | _native.VideoRecordTap) -> None:
        """Give its pictures to `tap` too."""
        self._received.attach(self._handle.handle, tap)

    def detach(self, tap: _native.VideoTap | _native.VideoRecordTap) -> None:
        self._received.detach(self._handle.handle, tap)

    def close(self) -> None:
        self._received.unwatch(self._handle.handle)
        self._handle.dispose()


class ReceivedSound:
    """The sound of one subscribed audio track, put natively into a mixer until `close`."""

    def __init__(self, track_handle: int, mixer_input: _native.MixerInput) -> None:
        request = proto_ffi.FfiRequest()
        request.new_audio_stream.track_handle = track_handle
        request.new_audio_stream.type = proto_audio.AudioStreamType.AUDIO_STREAM_NATIVE
        request.new_audio_stream.sample_rate = 48_000
        request.new_audio_stream.num_channels = 2
        request.new_audio_stream.frame_size_ms = 10
        request.new_audio_stream.queue_size_frames = _QUEUED_SOUND
        response = _ffi_client.FfiClient.instance.request(request)
        self._handle = _ffi_client.FfiHandle(response.new_audio_stream.stream.handle.id)
        self._received = load().received
        self._received.listen(self._handle.handle, mixer_input)

    def attach(self, tap: _native.AudioRecordTap) -> None:
        """Give its sound to `tap` too."""
        self._received.attach_sound(self._handle.handle, tap)

    def detach(self, tap: _native.AudioRecordTap) -> None:
        self._received.detach_sound(self._handle.handle, tap)

    def close(self) -> None:
        """A stream that is left open goes on with the sound of whoever publishes next."""
        self._received.unlisten(self._handle.handle)
        self._handle.dispose()


def set_receiving(publication_handle: int, is_receiving: bool) -> None:
    """Have the room server send a subscribed video, or stop it: what is received is decoded, whoever reads it."""
    request = proto_ffi.FfiRequest()
    request.enable_remote_track_publication.track_publication_handle = publication_handle
    request.enable_remote_track_publication.enabled = is_receiving
    _ffi_client.FfiClient.instance.request(request)


def set_size(publication_handle: int, width: int, height: int) -> None:
    """Have the room server send the smallest layer that is as large as that, where there are several."""
    request = proto_ffi.FfiRequest()
    request.update_remote_track_publication_dimension.track_publication_handle = publication_handle
    request.update_remote_track_publication_dimension.width = width
    request.update_remote_track_publication_dimension.height = height
    _ffi_client.FfiClient.instance.request(request)


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    if not address:
        raise RuntimeError("the LiveKit library lacks an entry point")
    return address
