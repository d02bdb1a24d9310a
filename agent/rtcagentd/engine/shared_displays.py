"""Which displays are shared, whole or in part: the default layout there would be seen in itself, again and again."""

from collections.abc import Iterable, Mapping

from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native


def shared_displays(
    displays: Iterable[_native.DisplayInfo],
    captures: Mapping[str, types.CaptureConfig],
    *,
    is_chosen_by_person: bool,
) -> dict[str, str]:
    """The source_id of a share by the display_id that it is of. Windows are shared without what lies over them.

    `is_chosen_by_person`: the desktop's portal does not say which display was chosen, so that it may be any.
    """
    shared: dict[str, str] = {}
    for source_id, config in sorted(captures.items()):
        target = config.input.screen
        if config.input.WhichOneof("input") != "screen" or target.WhichOneof("target") == "window_id":
            continue
        for info in displays:
            if is_chosen_by_person or (info.display_id == target.display_id if target.display_id else info.is_primary):
                shared.setdefault(info.display_id, source_id)
    return shared
