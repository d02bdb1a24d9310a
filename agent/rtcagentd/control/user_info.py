"""What the others see of the agent in a room: its checks, and the order that changes it without leaving the room.

Also the other order about a room that takes no rejoin: how often its statistics are told.
"""

from collections.abc import Callable

from rtcagent.v1 import agent_pb2, rooms_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import statistics_pb2 as stat
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import room_key

MAX_NAME = 128
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTE_BYTES = 32_768  # all names and values together; livekit-server takes 64,000


def check(config: ty.RoomConfig, max_extra_info_bytes: int, prefix: str = "config.") -> None:
    """What is to be shown, as it would be asked for. OrderError: it can never be."""
    checks.extra_info(config.extra_info, max_extra_info_bytes, f"{prefix}extra_info")
    if len(config.name) > MAX_NAME:
        raise invalid(f"{prefix}name", "USER_NAME_INVALID", f"name is longer than {MAX_NAME} characters")
    if len(config.attributes) > MAX_ATTRIBUTES:
        text = f"there are {len(config.attributes)} attributes, at most {MAX_ATTRIBUTES}"
        raise invalid(f"{prefix}attributes", "ATTRIBUTES_TOO_MANY", text)
    size = 0
    for name, value in config.attributes.items():
        if not 1 <= len(name) <= MAX_NAME:
            text = f"the name of an attribute has {len(name)} characters, not 1-{MAX_NAME}"
            raise invalid(f"{prefix}attributes", "ATTRIBUTE_INVALID", text)
        size += len(name.encode()) + len(value.encode())
    if size > MAX_ATTRIBUTE_BYTES:
        text = f"the attributes have {size} bytes in all, at most {MAX_ATTRIBUTE_BYTES}"
        raise invalid(f"{prefix}attributes", "ATTRIBUTES_TOO_LONG", text)


def set_statistics_interval(request: stat.SetStatisticsIntervalRequest) -> Callable[[Edit], None]:
    """The edit of the room's order."""
    checks.statistics_interval(request.interval_ms, "interval_ms")

    def change(config: ty.RoomConfig) -> None:
        config.statistics_interval_ms = request.interval_ms

    return _edit(request.room_id, request.order, change)


def set_user_info(request: rooms_pb2.SetUserInfoRequest, limits: agent_pb2.EngineLimits) -> Callable[[Edit], None]:
    """The edit of the room's order."""

    def change(config: ty.RoomConfig) -> None:
        if request.HasField("extra_info"):
            config.extra_info = request.extra_info
        if request.HasField("name"):
            config.name = request.name
        for name, value in request.attributes.items():
            config.attributes[name] = value
        for name in [name for name, value in config.attributes.items() if not value]:
            del config.attributes[name]
        check(config, limits.max_extra_info_bytes, "")

    return _edit(request.room_id, request.order, change)


def _edit(room_id: str, order: ty.OrderOptions, change: Callable[[ty.RoomConfig], None]) -> Callable[[Edit], None]:
    """An edit of what a room was ordered with, which holds as long as that order unless `order` says otherwise."""
    key = room_key(checks.room_id(room_id))
    keeps_its_time = order.keep.kind == ty.Keep.KIND_UNSPECIFIED

    def edit(edits: Edit) -> None:
        row = edits.row(key)
        room = edits.get(key, st.DesiredRoom)
        if room is None or row is None:
            text = f"there is no order to be in room {room_id!r}; `rtcctl rooms` lists those there are"
            raise not_found("ROOM_NOT_FOUND", text, room_id=room_id)
        changed = st.DesiredRoom()
        changed.CopyFrom(room)
        change(changed.config)
        keep = ty.Keep()
        keep.CopyFrom(room.order.keep)
        edits.put(key, changed, row.secret, keep=keep if keeps_its_time else None)

    return edit
