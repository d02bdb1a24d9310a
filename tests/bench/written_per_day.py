"""What a day of events costs the disk: bytes written at one event a second, and at none, carried on to a day.

What Linux counts for the process (write_bytes of /proc/PID/io) is pages of the file cache: what a flash card is given,
but for the file system's own journal.
"""

import asyncio
from pathlib import Path

from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import types_pb2 as ty

from tests.bench.report import Measurement
from tests.parts.daemon import Daemon

SECONDS = 60
DAY_S = 86_400
AIM_GB, AIM_IDLE_MB = 1.5, 20.0


async def measure(folder: Path) -> Measurement:
    result = Measurement("Bytes written for the event log and the orders")
    daemon = Daemon(folder)
    try:
        await daemon.start()
        await asyncio.sleep(5)  # what starting wrote is not counted
        idle = await _written(daemon, orders=False) * DAY_S / SECONDS
        busy = await _written(daemon, orders=True) * DAY_S / SECONDS
    finally:
        await daemon.close()
    result.raw = {"idle_bytes_per_day": idle, "bytes_per_day": busy}
    result.add(
        "nothing happens: a day", f"{idle / 1e6:.1f} MB", f"at most {AIM_IDLE_MB:g} MB", idle <= AIM_IDLE_MB * 1e6
    )
    result.add(
        "one order, so one event, a second: a day",
        f"{busy / 1e9:.2f} GB",
        f"at most {AIM_GB:g} GB",
        busy <= AIM_GB * 1e9,
    )
    return result


async def _written(daemon: Daemon, *, orders: bool) -> int:
    before = _bytes(daemon.pid)
    for number in range(SECONDS):
        if orders:
            slot = ty.Slot(name="bench", matches=[ty.Slot.Match(serial=str(number))])
            request = dv.SetSlotRequest(slot=slot, order=ty.OrderOptions(wait_ms=0))
            await daemon.control.devices.SetSlot(request, timeout=30)
        await asyncio.sleep(1)
    return _bytes(daemon.pid) - before


def _bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("Linux does not count what the process writes")
