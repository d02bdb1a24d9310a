"""`python -m tests.bench [NAME ...]`: runs the measurements, prints their tables and writes build/bench.json."""

import argparse
import asyncio
import importlib
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.report import Measurement, save

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "join_to_first_frame",
    "publish_cost",
    "api_latency",
    "event_fanout",
    "written_per_day",
    "interpreter_stall",
    "recovery",
    "outages",
    "stampede",
    "unplugged",
    "canvas",
    "camera_and_screen",
    "nine_people",
    "glass_to_glass",
    "mouth_to_ear",
    "endurance",
]


async def run(names: list[str]) -> bool:
    """Whether every aim was met."""
    results: dict[str, Measurement] = {}
    print(f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}\n", flush=True)
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        begin, ours, all_of_it = time.monotonic(), _own_cpu_s(), _machine_cpu_s()
        with tempfile.TemporaryDirectory(prefix="rtcagent-bench-") as folder:
            results[name] = await importlib.import_module(f"tests.bench.{name}").measure(Path(folder))
        taken = time.monotonic() - begin
        print(f"{name}: {taken:.0f} s", file=sys.stderr, flush=True)
        others = (_machine_cpu_s() - all_of_it - (_own_cpu_s() - ours)) / taken
        results[name].add(
            "processor that programs beside this measurement took meanwhile", f"{max(0.0, others):.2f} core"
        )
        print(results[name].markdown(), flush=True)
        save(ROOT / "build" / "bench.json", {name: results[name]})
    return all(line.met is not False for result in results.values() for line in result.lines)


def _own_cpu_s() -> float:
    """Of this process and all that it has waited for, with what those have waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _machine_cpu_s() -> float:
    """Of the whole machine, but for idling and waiting for disks."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; default: all of them")
    names = parser.parse_args().names or NAMES
    for unknown in sorted(set(names) - set(NAMES)):
        parser.error(f"there is no measurement {unknown!r}")
    sys.exit(0 if asyncio.run(run(names)) else 1)


main()
