"""A recording's file as other programs see it: opened with ffprobe, decoded with ffmpeg."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from tests.parts import sound
from tests.parts.picture import Picture
from tests.parts.sound import RATE, Samples


class RecordedFile:
    """One file; each track is decoded as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), f"ffprobe does not like {path.name}: {done.stderr}"
        told: dict[str, Any] = json.loads(done.stdout)
        self.tracks: list[dict[str, Any]] = told["streams"]
        self.format: dict[str, Any] = told["format"]

    def track(self, *words: str) -> int:
        """The index of the one track whose title has these words."""
        found = [index for index, title in enumerate(self.titles()) if all(word in title for word in words)]
        assert len(found) == 1, f"{words} is in {len(found)} titles: {self.titles()}"
        return found[0]

    def titles(self) -> list[str]:
        tags = [track.get("tags", {}) for track in self.tracks]
        return [each.get("title") or each.get("handler_name", "") for each in tags]

    def tags(self, track: int) -> dict[str, str]:
        tags: dict[str, str] = self.tracks[track]["tags"]
        return tags

    def frame_count(self, track: int) -> int:
        return int(self.tracks[track]["nb_read_frames"])

    def times(self, track: int) -> list[float]:
        """When each frame is shown, in seconds."""
        command = ["ffprobe", "-v", "error", "-select_streams", str(track), "-show_entries", "packet=pts_time"]
        done = subprocess.run([*command, "-of", "csv=p=0", str(self.path)], capture_output=True, text=True, check=True)
        return sorted(float(line.strip(",")) for line in done.stdout.split())

    def samples(self, track: int) -> Samples:
        """Of one channel, from the file's beginning; what is missing is silence."""
        data = self._decode(track, "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE), "-f", "s16le")
        return sound.from_s16(data)

    def picture(self, track: int, at_s: float) -> Picture:
        """The picture that is shown at this time."""
        width, height = self.tracks[track]["width"], self.tracks[track]["height"]
        data = self._decode(track, "-vf", "fps=10:start_time=0", "-pix_fmt", "rgb24", "-f", "rawvideo")
        pictures = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
        picture: Picture = pictures[min(int(at_s * 10), len(pictures) - 1)]
        return picture

    def decodes_whole(self) -> None:
        """Fails when a frame of any track does not decode."""
        # Each frame at its own time: ffmpeg would else complain of two within what it takes for the frame rate.
        times = ["-fps_mode:v", "passthrough", "-enc_time_base:v", "1/1000"]
        command = ["ffmpeg", "-v", "error", "-xerror", "-i", str(self.path), "-map", "0", *times, "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), f"{self.path.name} does not decode: {done.stderr}"

    def _decode(self, track: int, *how: str) -> bytes:
        command = ["ffmpeg", "-v", "error", "-i", str(self.path), "-map", f"0:{track}", *how, "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout
