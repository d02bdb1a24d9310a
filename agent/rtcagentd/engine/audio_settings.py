"""Translates an AudioCaptureConfig to native settings and to words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.capture_settings import allowed_file
from rtcagentd.engine.engine import EngineError

DEFAULT_TONE_HZ = 440.0
DEFAULT_TONE_DBFS = -20.0


@dataclass(frozen=True)
class AudioPlan:
    """How to open a source of sound."""

    settings: _native.AudioSettings
    input_words: str
    is_device: bool = False
    device_id: str = ""  # empty: not a microphone, or the default one


def plan(config: types.AudioCaptureConfig, channels: int, media_folders: Sequence[Path]) -> AudioPlan:
    """The plan for `config`; EngineError when it cannot work."""
    settings = _native.AudioSettings()
    settings.channels = channels
    match config.input.WhichOneof("input"):
        case "microphone":
            settings.device = config.input.microphone.device_id
            words = f"microphone {settings.device}" if settings.device else "default microphone"
            return AudioPlan(settings, words, is_device=True, device_id=settings.device)
        case "file":
            settings.file_path = allowed_file(config.input.file.path, media_folders)
            settings.loop = config.input.file.loop
            return AudioPlan(settings, f"sound of file {config.input.file.path}")
        case "screen_audio":
            only = config.input.screen_audio.application
            settings.plays = True
            settings.application, settings.binary = only.name, only.binary
            settings.process_id = str(only.process_id) if only.process_id else ""
            named = only.name or only.binary or (f"process {only.process_id}" if only.process_id else "")
            return AudioPlan(settings, f"sound of {named or 'this machine'}", is_device=True)
        case "test_tone":
            tone = config.input.test_tone
            settings.tone_hz = tone.frequency_hz or DEFAULT_TONE_HZ
            settings.tone_level_dbfs = tone.level_dbfs if tone.HasField("level_dbfs") else DEFAULT_TONE_DBFS
            return AudioPlan(settings, f"test tone of {settings.tone_hz:g} Hz")
        case _:
            raise EngineError(types.REASON_INTERNAL, "a source of sound was ordered without its input", permanent=True)
