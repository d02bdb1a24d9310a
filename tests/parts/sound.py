"""Sound as numbers: makes tones, noise and speech, and tells the level and the frequency of what was received.

Samples are float32 between -1 and 1 at 48 kHz, mono unless said otherwise. Levels are RMS in dBFS: a sine that just
fits has -3.
"""

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 48_000
SILENCE_DBFS = -120.0

Samples = npt.NDArray[np.float32]


def tone(frequency: float, level_dbfs: float, seconds: float) -> Samples:
    """A sine."""
    times = np.arange(int(seconds * RATE)) / RATE
    return np.asarray(np.sqrt(2) * 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency * times), dtype=np.float32)


def noise(level_dbfs: float, seconds: float, *, seed: int = 1) -> Samples:
    """White noise, the same each time."""
    random = np.random.default_rng(seed)
    return np.asarray(10 ** (level_dbfs / 20) * random.standard_normal(int(seconds * RATE)), dtype=np.float32)


def speech(text: str, level_dbfs: float, *, voice: str = "en") -> Samples:
    """A voice that says `text`."""
    said = subprocess.run(["espeak-ng", "-v", voice, "--stdout", text], check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(said)) as file:
        rate, frames = file.getframerate(), file.readframes(1 << 30)
    short = np.frombuffer(frames, dtype=np.int16).astype(np.float32) / 32768
    times = np.arange(int(len(short) * RATE / rate)) * (rate / RATE)
    samples = np.interp(times, np.arange(len(short)), short)
    return np.asarray(samples * 10 ** ((level_dbfs - level(samples)) / 20), dtype=np.float32)


def level(samples: npt.NDArray[np.floating]) -> float:
    """How loud it is as a whole."""
    if not len(samples):
        return SILENCE_DBFS
    return float(max(SILENCE_DBFS, 10 * np.log10(np.mean(np.square(samples.astype(np.float64))) + 1e-30)))


def quietest(samples: npt.NDArray[np.floating], seconds: float) -> float:
    """The level of the quietest stretch of this length."""
    size = int(seconds * RATE)
    return min(level(samples[start : start + size]) for start in range(0, len(samples) - size, size // 8))


def tone_level(samples: npt.NDArray[np.floating], frequency: float) -> float:
    """How loud a tone of about this frequency (20 Hz up and down) is in it."""
    spectrum, frequencies = _spectrum(samples)
    near = np.abs(frequencies - frequency) <= 20
    return float(max(SILENCE_DBFS, 10 * np.log10(spectrum[near].sum() + 1e-30)))


def frequency(samples: npt.NDArray[np.floating]) -> float:
    """The strongest frequency, to about a Hz for a second of sound."""
    spectrum, frequencies = _spectrum(samples)
    return float(frequencies[int(np.argmax(spectrum))])


def _spectrum(samples: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Power at each frequency; all of it adds up to the mean square."""
    window = np.hanning(len(samples))
    amplitudes = np.fft.rfft(samples.astype(np.float64) * window)
    power = 2 * np.abs(amplitudes) ** 2 / (len(samples) * np.sum(window**2))
    return power, np.asarray(np.fft.rfftfreq(len(samples), 1 / RATE), dtype=np.float64)


def save_wav(path: Path, *channels: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(to_s16(np.stack(channels, axis=1).reshape(-1)))


def to_s16(samples: npt.NDArray[np.floating]) -> bytes:
    return bytes(np.asarray(np.clip(samples, -1, 1) * 32767, dtype="<i2").tobytes())


def from_s16(data: bytes, channels: int = 1) -> Samples:
    """One row for each channel where there are several."""
    whole = data[: len(data) // (2 * channels) * 2 * channels]
    samples = np.asarray(np.frombuffer(whole, dtype="<i2") / 32768, dtype=np.float32)
    return samples.reshape(-1, channels).T if channels > 1 else samples
