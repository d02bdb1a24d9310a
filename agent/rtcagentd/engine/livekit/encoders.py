"""What can encode each codec on this machine: the SDK's own software, and hardware where its device and driver are."""

import glob
import os
from collections.abc import Iterator

from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import types_pb2 as types

_SOFTWARE = {
    types.VIDEO_CODEC_VP8: "libvpx",
    types.VIDEO_CODEC_VP9: "libvpx",
    types.VIDEO_CODEC_H264: "OpenH264",
    types.VIDEO_CODEC_AV1: "libaom",
}
_HARDWARE_CODEC = types.VIDEO_CODEC_H264  # the SDK's wheel for Linux has no other in hardware
_LIBRARIES = ("/usr/lib/*/", "/usr/lib64/", "/usr/local/lib/", "/lib/*/")
_DRIVERS = ("/usr/lib/*/dri/", "/usr/lib64/dri/", "/usr/local/lib/dri/")


def list_encoders() -> list[capture.VideoEncoder]:
    """By codec; those that the SDK tries first come first."""
    found: list[capture.VideoEncoder] = []
    for codec, name in _SOFTWARE.items():
        if codec == _HARDWARE_CODEC:
            found += _hardware()
        found.append(capture.VideoEncoder(codec=codec, name=name, choice=types.ENCODER_CHOICE_SOFTWARE, present=True))
    return found


def is_present(choice: types.EncoderChoice.ValueType) -> bool:
    """Whether there is an encoder of this choice."""
    if choice in (types.ENCODER_CHOICE_UNSPECIFIED, types.ENCODER_CHOICE_SOFTWARE):
        return True
    present = [each.choice for each in _hardware() if each.present]
    return bool(present) if choice == types.ENCODER_CHOICE_HARDWARE else choice in present


def _hardware() -> Iterator[capture.VideoEncoder]:
    for name, choice, missing in (
        ("NVENC", types.ENCODER_CHOICE_NVENC, _nvenc_lacks()),
        ("VAAPI", types.ENCODER_CHOICE_VAAPI, _vaapi_lacks()),
    ):
        yield capture.VideoEncoder(
            codec=_HARDWARE_CODEC, name=name, choice=choice, hardware=True, present=not missing, missing=missing
        )


def _nvenc_lacks() -> str:
    if not glob.glob("/dev/nvidia[0-9]*"):
        return "there is no NVIDIA device (/dev/nvidia0)"
    for library in ("libcuda.so.1", "libnvidia-encode.so.1"):
        if not _is_installed(library):
            return f"the driver's library {library} is not installed"
    return ""


def _vaapi_lacks() -> str:
    devices = glob.glob("/dev/dri/renderD*")
    if not devices:
        return "there is no graphics device (/dev/dri/renderD128)"
    if not any(os.access(device, os.R_OK | os.W_OK) for device in devices):
        return f"the engine's user may not open {devices[0]}: it must be in the group render"
    if not _is_installed("libva.so.2"):
        return "libva.so.2 is not installed (libva2, libva-drm2)"
    if not any(glob.glob(f"{folder}*_drv_video.so") for folder in _DRIVERS):
        return "no VA-API driver is installed (intel-media-va-driver or mesa-va-drivers)"
    return ""


def _is_installed(library: str) -> bool:
    return any(glob.glob(folder + library) for folder in _LIBRARIES)
