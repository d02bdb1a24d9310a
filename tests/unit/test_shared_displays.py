"""Which displays the default layout leaves while something is shared."""

from dataclasses import dataclass
from typing import Any, cast

from rtcagent.v1 import types_pb2 as ty
from rtcagentd.engine.shared_displays import shared_displays


@dataclass
class Info:
    display_id: str
    is_primary: bool = False


DISPLAYS = cast("Any", [Info("HDMI-1"), Info("DP-1", is_primary=True)])


def screen(**target: str) -> ty.CaptureConfig:
    return ty.CaptureConfig(input=ty.VideoInput(screen=ty.VideoInput.Screen(**target)))  # type: ignore[arg-type]


def test_the_display_that_is_named_or_else_the_primary_one() -> None:
    assert shared_displays(DISPLAYS, {"screen": screen(display_id="HDMI-1")}, is_chosen_by_person=False) == {
        "HDMI-1": "screen"
    }
    assert shared_displays(DISPLAYS, {"screen": screen()}, is_chosen_by_person=False) == {"DP-1": "screen"}


def test_windows_and_cameras_are_no_matter() -> None:
    captures = {"camera": ty.CaptureConfig(), "screen": screen(window_id="0x7")}
    assert not shared_displays(DISPLAYS, captures, is_chosen_by_person=False)
    assert not shared_displays(DISPLAYS, captures, is_chosen_by_person=True)


def test_what_a_person_chose_may_be_any() -> None:
    assert set(shared_displays(DISPLAYS, {"screen": screen()}, is_chosen_by_person=True)) == {"HDMI-1", "DP-1"}
