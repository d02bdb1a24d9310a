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
NAMES = ["join_to_first_frame", "publish_cost", "api_latency", "event_fanout", "interpreter_stall"]


async def run(names: list[str]) -> bool:
    """Whether every aim was met."""
    results: dict[str, Measurement] = {}
    print(f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}\n", flush=True)
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="rtcagent-bench-") as folder:
            results[name] = await importlib.import_module(f"tests.bench.{name}").measure(Path(folder))
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        print(results[name].markdown(), flush=True)
        save(ROOT / "build" / "bench.json", {name: results[name]})
    return all(line.met is not False for result in results.values() for line in result.lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; default: all of them")
    names = parser.parse_args().names or NAMES
    for unknown in sorted(set(names) - set(NAMES)):
        parser.error(f"there is no measurement {unknown!r}")
    sys.exit(0 if asyncio.run(run(names)) else 1)


main()
