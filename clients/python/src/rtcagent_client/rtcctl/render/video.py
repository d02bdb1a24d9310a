"""What `rtcctl encoders` shows."""

from collections.abc import Sequence

from rtcagent.v1.capture_pb2 import VideoEncoder
from rtcagent.v1.types_pb2 import VideoCodec

from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_word


def show_encoders(encoders: Sequence[VideoEncoder], screen: Screen) -> None:
    header = ("CODEC", "ENCODER", "BY", "HERE")
    rows = [
        (
            enum_word(VideoCodec, each.codec),
            each.name,
            "hardware" if each.hardware else "software",
            "yes" if each.present else f"no: {each.missing}",
        )
        for each in encoders
    ]
    screen.table([tuple(screen.paint(cell, "dim") for cell in header), *rows])
