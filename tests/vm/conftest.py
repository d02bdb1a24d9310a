"""The test machine, booted once for all tests of the cameras; and another one, with the package."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.vm.agent import CONFIGURATION, PATIENT, RUNTIME_DIR, SLOW_MS
from tests.vm.kiosk import Kiosk, asked
from tests.vm.machine import GuestProcess, Machine, build_image, may_build, missing_tools


@contextlib.contextmanager
def a_machine() -> Iterator[Machine]:
    """One that is not booted yet; ended in any case."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the test machine needs {', '.join(missing)}: install the packages of deploy/packages.txt")
    if not may_build():
        pytest.skip("building the test machine's disk needs root, or sudo without a password")
    build_image()
    run_dir = Path(tempfile.mkdtemp(prefix="rtcagent-vm-"))  # a short path: it holds a unix socket
    machine = Machine(run_dir)
    try:
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running machine with a vivid camera and no USB camera. Whoever unplugs something plugs it in again."""
    with a_machine() as machine:
        machine.start()
        yield machine


@pytest.fixture(scope="session")
def agent(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestProcess]:
    """rtcagentd in the machine."""
    machine.write("/root/rtcagent.toml", CONFIGURATION)
    program = str(Path(sys.executable).with_name("rtcagentd"))
    log = tmp_path_factory.mktemp("agent") / "rtcagentd.log"
    command = ("sh", "-c", 'exec "$@" >&2', "sh", program, "--config", "/root/rtcagent.toml")
    with machine.process(*command, log=log) as daemon:
        yield daemon


@pytest_asyncio.fixture
async def control(
    machine: Machine, agent: GuestProcess, shown_logs: dict[str, Callable[[], str]]
) -> AsyncIterator[Controller]:
    """A controller of the agent, whose engine runs. Takes back the orders of the test."""
    shown_logs["rtcagentd in the test machine"] = lambda: agent.log.read_text(errors="replace")
    folder = Path(tempfile.mkdtemp(prefix="rtcagent-"))  # a short path for a unix socket
    with machine.local_forward(folder / "control.sock", f"{RUNTIME_DIR}/control.sock"):
        controller = Controller(f"unix:{folder / 'control.sock'}")

        async def runs() -> bool:
            assert agent.is_running(), "rtcagentd has ended"
            state = await asked(controller)
            return state is not None and state.reported.engine.state == st.ENGINE_STATE_RUNNING

        await until(runs, timeout_ms=SLOW_MS, what="rtcagentd answers and its engine runs")
        yield controller
        desired = await controller.desired()
        for room in desired.rooms:
            await controller.leave(room.config.room_id, order=PATIENT)
        for capture in desired.captures:
            if capture.HasField("audio"):
                request = cap.StopAudioCaptureRequest(source_id=capture.source_id, order=PATIENT)
                await controller.capture.StopAudioCapture(request)
            else:
                await controller.stop_capture(source_id=capture.source_id, order=PATIENT)
        for slot in desired.slots:
            await controller.devices.SetSlot(dv.SetSlotRequest(slot=ty.Slot(name=slot.slot.name)))
        await controller.close()
    shutil.rmtree(folder)


@pytest.fixture
def reachable_server(machine: Machine, room_server: RoomServer) -> Iterator[RoomServer]:
    """The room server, which the machine reaches at the same address."""
    with contextlib.ExitStack() as forwards:
        for port in (room_server.port, room_server.tcp_port):
            forwards.enter_context(machine.remote_forward(port))
        yield room_server


@pytest.fixture(scope="module")
def kiosk_machine(request: pytest.FixtureRequest) -> Iterator[Kiosk]:
    """Another machine, with the package on its disk, that was told before its first boot what it is there for."""
    with a_machine() as machine:
        packages: list[Path] = request.getfixturevalue("packages")
        kiosk = Kiosk(machine)
        kiosk.boot_first(packages[0])
        yield kiosk
