"""How long an order holds. Without one it holds until the machine is booted again, a slot for ever."""

from datetime import datetime

from rtcagent.v1.types_pb2 import Keep


def forever() -> Keep:
    """Until another order changes it; also after a reboot."""
    return Keep(kind=Keep.KIND_FOREVER)


def this_boot() -> Keep:
    """Until the machine is booted again. Survives restarts of the agent."""
    return Keep(kind=Keep.KIND_THIS_BOOT)


def until(time: datetime) -> Keep:
    """Until a time, which must have a time zone (ValueError)."""
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone")
    keep = Keep(kind=Keep.KIND_UNTIL)
    keep.until.FromDatetime(time)
    return keep


def until_alone(seconds: int) -> Keep:
    """Until the agent has been the only user in the room for so long (1-86400 s). For join_room only."""
    if not 1 <= seconds <= 86400:
        raise ValueError(f"alone for {seconds} s: it must be 1 to 86400")
    return Keep(kind=Keep.KIND_UNTIL_ALONE, alone_s=seconds)
