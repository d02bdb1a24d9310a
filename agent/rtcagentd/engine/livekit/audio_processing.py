"""Makes libwebrtc's audio processing modules, which live in the FFI."""

from livekit.rtc import _ffi_client
from livekit.rtc._proto import ffi_pb2 as proto_ffi
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.livekit import ffi


def make_processor(wanted: types.AudioProcessing) -> _native.AudioProcessor | None:
    """A module that does what is switched on; None where that is nothing. Any thread."""
    if not (wanted.echo_cancellation or wanted.noise_suppression or wanted.auto_gain):
        return None
    entry = ffi.load().entry
    request = proto_ffi.FfiRequest()
    request.new_apm.echo_canceller_enabled = wanted.echo_cancellation
    request.new_apm.noise_suppression_enabled = wanted.noise_suppression
    request.new_apm.gain_controller_enabled = wanted.auto_gain
    # Hum and wind below speech only mislead the rest.
    request.new_apm.high_pass_filter_enabled = True
    answer = _ffi_client.FfiClient.instance.request(request)
    # The native owner gives the handle back: FfiHandle would do it, too.
    return _native.AudioProcessor(entry, answer.new_apm.apm.handle.id, wanted.echo_cancellation)
