"""A kiosk in the test machine: the package, and files that ask for its camera in a room of its own server.

It is controlled, and its room is listened to, from outside, over forwarded ports.
"""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st

from tests.parts.controller import Controller
from tests.parts.listener import Listener
from tests.parts.ports import free_ports
from tests.parts.waiting import until
from tests.vm.cameras import shows_bars
from tests.vm.machine import Machine

ROOM, AGENT, SOURCE = "demo", "kiosk", "camera"
DAEMON, ENGINE = "rtcagentd.service", "rtcagent-engine.service"
SLOW_MS = 300_000  # the processor is emulated
INSTALL_S = 600
ASK_S = 5.0
SETTINGS = """
name = "{agent}"
[embedded_server]
binary = "/usr/lib/rtcagent/current/bin/livekit-server"
expose = "lan"
advertise_ip = "127.0.0.1"
port = {port}
rtc_tcp_port = {tcp_port}
[engine]
launcher = "systemd"
start_timeout_ms = 120000
heartbeat_timeout_ms = 30000
"""
# The package's own times are for processors that are not emulated.
SLOW_UNIT = "[Service]\nTimeoutStartSec=300\nWatchdogSec=20\nTimeoutStopSec=60\n"
ORDERS = f"""
rooms:
- config: {{room_id: {ROOM}}}
captures:
- source_id: {SOURCE}
  config:
    output: {{width: 320, height: 240, max_fps: 10}}
streams:
- {{room_id: {ROOM}, source_id: {SOURCE}, published: true}}
"""
# As whoever makes the disks of many kiosks does it: dpkg in the new root, and nothing of it runs before the first boot.
_INSTALL = """
cp "$PACKAGE" "$ROOT/package.deb"
DEBIAN_FRONTEND=noninteractive chroot "$ROOT" dpkg -i /package.deb
rm "$ROOT/package.deb"
printf %s "$SETTINGS" >"$ROOT/etc/rtcagent/rtcagent.toml"
printf %s "$ORDERS" >"$ROOT/etc/rtcagent/conf.d/kiosk.yaml"
mkdir "$ROOT/etc/systemd/system/rtcagentd.service.d"
printf %s "$SLOW_UNIT" >"$ROOT/etc/systemd/system/rtcagentd.service.d/slow.conf"
"""


class Kiosk:
    """The installed agent. Everything here may be asked while it is down."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.port, self.tcp_port = free_ports(socket.SOCK_STREAM, socket.SOCK_STREAM)

    def boot_first(self, package: Path) -> None:
        settings = SETTINGS.format(agent=AGENT, port=self.port, tcp_port=self.tcp_port)
        self.machine.start(_INSTALL, PACKAGE=str(package), SETTINGS=settings, ORDERS=ORDERS, SLOW_UNIT=SLOW_UNIT)

    def upgrade(self, package: Path) -> None:
        self.machine.run("dpkg", "-i", str(package), timeout_s=INSTALL_S)

    def signal(self, unit: str, name: str) -> None:
        """To the unit's main process, without warning."""
        self.machine.run("systemctl", "kill", "--kill-who=main", f"--signal={name}", unit)

    def journal(self) -> str:
        """Of both units, since the boot."""
        return self.machine.run(
            *("journalctl", "--no-pager", "-b", "-o", "short-monotonic", "-n", "300", "-u", DAEMON, "-u", ENGINE),
            check=False,
        )

    @contextlib.asynccontextmanager
    async def controller(self) -> AsyncIterator[Controller]:
        """Over the socket of the package. Until the machine boots the next time."""
        folder = Path(tempfile.mkdtemp(prefix="rtcagent-"))  # a short path for a unix socket
        forward = self.machine.local_forward(folder / "control.sock", "/run/rtcagent/control.sock")
        await asyncio.to_thread(forward.__enter__)
        controller = Controller(f"unix:{folder / 'control.sock'}")
        try:
            yield controller
        finally:
            await controller.close()
            await asyncio.to_thread(forward.__exit__, None, None, None)
            shutil.rmtree(folder)

    @contextlib.asynccontextmanager
    async def listener(self, control: Controller) -> AsyncIterator[Listener]:
        """A participant of the agent's room, outside the machine, by an invitation of the agent."""
        request = rm.CreateInviteRequest(room_id=ROOM, user_id="viewer", watch_only=True)
        invite = await control.rooms.CreateInvite(request, timeout=30)
        assert invite.server_url == f"ws://127.0.0.1:{self.port}"
        listener = Listener()
        with contextlib.ExitStack() as forwards:
            for port in (self.port, self.tcp_port):
                forwards.enter_context(self.machine.local_forward_port(port))
            try:
                await listener.join(invite.server_url, invite.token)
                yield listener
            finally:
                await listener.close()


async def asked(control: Controller) -> ag.GetStateResponse | None:
    """The state; None while the agent does not answer."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        return await control.agent.GetState(ag.GetStateRequest(), timeout=ASK_S)  # type: ignore[no-any-return]
    return None


async def until_state(
    control: Controller, fits: Callable[[ag.GetStateResponse], bool], what: str
) -> ag.GetStateResponse:
    """The first state for which `fits` holds."""
    seen: ag.GetStateResponse | None = None

    async def is_so() -> bool:
        nonlocal seen
        seen = await asked(control)
        return seen is not None and fits(seen)

    await until(is_so, timeout_ms=SLOW_MS, what=lambda: f"{what}; last: {seen}")
    assert seen is not None
    return seen


def _camera(state: ag.GetStateResponse) -> st.PublicationStatus | None:
    rooms = {room.room_id: room for room in state.reported.rooms}
    published = rooms[ROOM].publications if ROOM in rooms else []
    return next((each for each in published if each.source_id == SOURCE), None)


def is_live(state: ag.GetStateResponse) -> bool:
    """The server acknowledges the camera's frames; without a viewer they are paused."""
    camera = _camera(state)
    return camera is not None and camera.media_state == st.MEDIA_STATE_LIVE


async def until_published(control: Controller, *, after_generation: int = 0) -> ag.GetStateResponse:
    """The state once the camera is in its room, by an engine later than `after_generation`."""

    def is_so(state: ag.GetStateResponse) -> bool:
        camera = _camera(state)
        is_published = camera is not None and camera.state == st.PUBLICATION_STATE_PUBLISHED
        return is_published and state.reported.engine.generation > after_generation

    return await until_state(control, is_so, f"the camera is published by an engine after {after_generation}")


async def shows_its_camera(kiosk: Kiosk, control: Controller) -> None:
    """A participant that joins now decodes pictures of the vivid camera, and the agent says so."""
    async with kiosk.listener(control) as listener:
        await listener.picture(AGENT, SOURCE, until=shows_bars, timeout_ms=SLOW_MS)
        await listener.frames(AGENT, SOURCE, count=5, timeout_ms=SLOW_MS)
        assert listener.video(AGENT, SOURCE).size() == (320, 240)
        await until_state(control, is_live, "the camera is live")
