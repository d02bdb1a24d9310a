"""The forms of ids and names, in one place."""

import re

# As WebRTC names them.
SCALABILITY_PATTERN = r"^(L[123]T[123]h?(_KEY(_SHIFT)?)?|S[123]T[123]h?)$"
USER_ID_PATTERN = r"^[A-Za-z0-9_@.-]{1,128}$"
ROOM_ID_PATTERN = USER_ID_PATTERN
SOURCE_ID_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
SLOT_PATTERN = SOURCE_ID_PATTERN
CANVAS_ID_PATTERN = SOURCE_ID_PATTERN
RECORDING_ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"  # it names a folder

DEFAULT_SOURCE_ID = "camera"
DEFAULT_AUDIO_SOURCE_ID = "microphone"


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of `text` has the form of `pattern`."""
    return re.fullmatch(pattern, text) is not None
