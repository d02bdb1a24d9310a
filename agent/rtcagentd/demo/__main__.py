"""Starts the agent with a room server of its own, shows its picture in the room `demo`, stops all at Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from rtcagent_client import AsyncClient, RtcAgentError

from rtcagentd.demo.daemon import Daemon
from rtcagentd.demo.orders import (
    ROOM,
    describe,
    give_first_orders,
    live_cameras,
    tell_live_cameras,
    until_serving,
    until_shown,
)
from rtcagentd.demo.settings import CHECKOUT, DemoError, Settings, read_settings, server_fingerprint, write_files

SERVING_TIMEOUT_S = 30.0
SHOWN_TIMEOUT_S = 8.0


def main() -> None:
    """Exit status 0 after Ctrl-C, 1 when something could not run."""
    try:
        settings = read_settings(os.environ)
        write_files(settings, _livekit_server(os.environ))
        sys.exit(asyncio.run(run(settings)))
    except DemoError as error:
        print(f"make run: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


async def run(settings: Settings) -> int:
    """Serve until a signal, or until the daemon ends."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    daemon = Daemon(settings.config_path, settings.log_path)
    await daemon.start()
    try:
        parts = {
            "signal": asyncio.create_task(stopping.wait()),
            "daemon": asyncio.create_task(daemon.wait()),
            "demo": asyncio.create_task(_demonstrate(settings)),
        }
        done, pending = await asyncio.wait(parts.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if parts["signal"] in done:
            _say("", "stopping ...")
            return 0
        if parts["daemon"] in done:
            _say(f"rtcagentd ended with exit status {parts['daemon'].result()}:", daemon.last_words())
        else:
            _say(f"the demo cannot go on: {parts['demo'].exception()}", daemon.last_words())
        _say(f"All of its output is in {settings.log_path}")
        return 1
    finally:
        await daemon.stop()


async def _demonstrate(settings: Settings) -> None:
    """Give the first orders, say what runs, and then tell of cameras for ever."""
    async with AsyncClient.connect(settings.socket_address) as client:
        await until_serving(client, SERVING_TIMEOUT_S)
        await give_first_orders(client, camera=settings.camera)
        reported = await until_shown(client, SHOWN_TIMEOUT_S)
        _say(*_introduction(settings, describe(reported)))
        _warn(live_cameras(reported))
        shown = live_cameras(reported)

        def tell(live: dict[str, str]) -> None:
            nonlocal shown
            if live != shown:
                _warn(live)
            shown = live

        with contextlib.suppress(RtcAgentError):  # the daemon ended: run() says so
            await tell_live_cameras(client, tell)
        await asyncio.Event().wait()


def _introduction(settings: Settings, state: list[str]) -> list[str]:
    control = f".venv/bin/rtcctl --address {settings.local_address}"
    server = f"{settings.host or '127.0.0.1'}:{settings.server_port}"
    remote = f"{settings.lan_address} (TLS, token) and " if settings.lan else ""
    lines = [
        "",
        f"rtcagentd serves {remote}{settings.local_address}",
        f"livekit-server: ws://{server}   state and log: {settings.run_dir}",
        *(f"  {line}" for line in state),
        f"Control it:      {control} state",
        f"Watch the room:  {control} invite {ROOM} --user NAME",
    ]
    if settings.lan:
        token = settings.token_path.read_text().strip()
        lines += [
            "On the other machine, with rtcctl there (`pip install ./clients/python` in a clone of this repository):",
            f"  RTCAGENT_TOKEN={token} rtcctl --address {settings.lan_address}"
            f" --server-fingerprint {server_fingerprint(settings)} state",
            "Whoever has this token controls the agent; ports"
            f" {settings.port}, {settings.server_port}, {settings.server_tcp_port} (TCP) and"
            f" {settings.server_udp_port} (UDP) must be open.",
        ]
    return [*lines, "Ctrl-C stops everything."]


def _warn(live: dict[str, str]) -> None:
    if not live:
        return
    text = [f"A REAL CAMERA IS LIVE: {name} (source {source_id!r})" for source_id, name in live.items()]
    width = max(map(len, text))
    _say("*" * (width + 8), *(f"*** {line:<{width}} ***" for line in text), "*" * (width + 8))


def _livekit_server(environment: Mapping[str, str]) -> Path:
    binary = Path(environment.get("RTCAGENT_LIVEKIT_SERVER") or CHECKOUT / "build" / "sfu" / "livekit-server")
    if not binary.exists():
        raise DemoError(f"there is no {binary}; `make build` makes it")
    return binary.absolute()


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
