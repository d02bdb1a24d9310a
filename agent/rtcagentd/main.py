"""rtcagentd: starts the parts of the daemon in order and stops them in reverse. Only this file knows the order."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import types_pb2 as ty

from rtcagentd import __version__, logs, service
from rtcagentd.api.agent import AgentService
from rtcagentd.api.canvases import CanvasesService
from rtcagentd.api.capture import CaptureService
from rtcagentd.api.devices import DevicesService
from rtcagentd.api.health import HealthReporter
from rtcagentd.api.ordering import OrderDesk
from rtcagentd.api.recordings import RecordingsService
from rtcagentd.api.rooms import RoomsService
from rtcagentd.api.screen import ScreenService
from rtcagentd.api.server import ApiServer
from rtcagentd.config import Config, ConfigError, JournalSettings, load
from rtcagentd.control.audio_readings import AudioReadings
from rtcagentd.control.closed_windows import ClosedWindows
from rtcagentd.control.conf_dir import ConfDir
from rtcagentd.control.ended_recordings import EndedRecordings
from rtcagentd.control.events import cause, event
from rtcagentd.control.join_tokens import Endpoint, JoinTokens
from rtcagentd.control.keeping import Keeper, boot_id
from rtcagentd.control.ledger import Ledger
from rtcagentd.control.messages import Messages
from rtcagentd.control.orders import Orders
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.recording_files import RecordingFiles
from rtcagentd.control.recording_limits import RecordingLimits
from rtcagentd.control.refusals import RefusalPolicy
from rtcagentd.control.room_tokens import ServerKey
from rtcagentd.control.state import State
from rtcagentd.control.statistics import StatisticsDesk
from rtcagentd.control.token_expiry import TokenExpiry
from rtcagentd.journal.journal import Journal
from rtcagentd.journal.retention import Retention
from rtcagentd.metrics.endpoint import MetricsEndpoint
from rtcagentd.metrics.instruments import Instruments
from rtcagentd.metrics.observer import Observer
from rtcagentd.metrics.scrape import Scrape
from rtcagentd.reload import Reloader
from rtcagentd.store.database import Database
from rtcagentd.store.faults import StoreError
from rtcagentd.store.going_back import use_copy, what_to_do
from rtcagentd.store.migrations import SchemaTooNew
from rtcagentd.supervise.engine_process import EngineProcess
from rtcagentd.supervise.launcher import ChildLauncher
from rtcagentd.supervise.room_server import RoomServer, RoomServerError
from rtcagentd.supervise.systemd import Service
from rtcagentd.supervise.unit_launcher import UnitLauncher

log = logging.getLogger("rtcagentd")

DATABASE = "rtcagent.db"
DEFAULT_CONFIG = Path("/etc/rtcagent/rtcagent.toml")


class AlreadyRunning(Exception):
    """Another daemon owns the state."""


class WorkFailed(Exception):
    """A part that is to run as long as the daemon failed: a defect, answered with an end that is seen."""


async def run(config: Config, config_path: Path) -> None:
    """Serve until SIGTERM or SIGINT, and read `config_path` again at SIGHUP. A part that cannot start ends the process
    with its own error.
    """
    stopping, reload = asyncio.Event(), asyncio.Event()
    for number, asked in ((signal.SIGTERM, stopping), (signal.SIGINT, stopping), (signal.SIGHUP, reload)):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)  # before anything slow, so none is lost
    manager = Service()
    this_boot = boot_id()
    # The order of starting; each part is stopped, in reverse, within:   room server 3 s, API 1 s, engine 5 s
    async with contextlib.AsyncExitStack() as parts:
        parts.enter_context(_sole_owner(config.state_dir, config.runtime_dir))
        instruments = Instruments()
        database = await parts.enter_async_context(Database(config.state_dir / DATABASE))
        database.on_commit = instruments.commit
        journal = Journal(database, _retention(config.journal))
        await journal.open()
        state = State(database, journal)
        state.default_layout = config.display.default_layout
        recording = config.recording
        state.recording_limits = RecordingLimits(recording.max_mb * 1_000_000, recording.max_minutes * 60_000)
        if config.recording_folder.parent == config.state_dir:  # another one may be on a disk that is not there now
            config.recording_folder.mkdir(mode=0o700, exist_ok=True)
        recording_files = RecordingFiles(config.recording_folder, recording.min_free_mb << 20)
        await state.load()
        started = ev.AgentStarted(version=__version__, boot_id=this_boot, revision=state.revision)
        await state.record(event(started))
        ledger = Ledger(state, this_boot)
        keeper = Keeper(state, ledger, this_boot)
        await keeper.end_overdue()  # before anything is opened that was to hold until now
        server = await parts.enter_async_context(_room_server(config, state, instruments))
        endpoint = _token_endpoint(config)
        tokens = JoinTokens(state, server, endpoint)
        orders = Orders(state, config.name, server, config.media.folders, has_token_endpoint=endpoint is not None)
        retry = config.retry
        refusals = RefusalPolicy(retry.refused_first_ms / 1000, retry.refused_max_ms / 1000)
        times = (retry.first_ms / 1000, retry.max_ms / 1000, retry.spread_ms / 1000)
        reconciler = Reconciler(state, tokens.complete, *times, refusals)
        outcomes = Outcomes(state, reconciler.progress)
        messages = Messages(state, reconciler, asyncio.get_running_loop().time)
        desk = OrderDesk(ledger, reconciler, outcomes)
        desk.on_answer = instruments.order
        launcher = UnitLauncher(config) if config.engine.launcher == "systemd" else ChildLauncher(config, __version__)
        engine = EngineProcess(config, reconciler, __version__, launcher)
        reconciler.replace_engine, reconciler.recycle_engine = engine.replace, engine.recycle
        conf_dir = ConfDir(config.desired.folder, state, ledger, orders, reconciler, this_boot)
        await conf_dir.reapply()
        await parts.enter_async_context(engine)
        agent = AgentService(config.name, state, journal, reconciler, outcomes, server, orders, desk)
        observer = Observer(state, outcomes, instruments)
        scrape = Scrape(
            *(config.name, __version__, state, reconciler, journal, observer, instruments),
            *(config.state_dir / DATABASE, lambda: agent.watcher_count),
        )
        await parts.enter_async_context(MetricsEndpoint(config.metrics, scrape.page))
        api = ApiServer(
            config.listeners,
            agent,
            RoomsService(state, orders, desk, reconciler, messages, StatisticsDesk(state, reconciler)),
            CaptureService(orders, desk, reconciler),
            DevicesService(state, orders, desk, reconciler, AudioReadings(state, reconciler)),
            ScreenService(state, orders, desk, reconciler),
            CanvasesService(state, orders.canvases, desk),
            RecordingsService(state, orders.recordings, desk, reconciler, recording_files),
        )
        await parts.enter_async_context(api)
        parts.push_async_callback(_say_stopping, state)
        health = HealthReporter(state, reconciler, api.set_health)
        works = [engine.wait(), reconciler.run(), keeper.run(), tokens.run(), conf_dir.run(), health.run()]
        if config.metrics.address is not None:
            works.append(observer.run())
        works.append(ClosedWindows(state, ledger, outcomes).run())
        works.append(TokenExpiry(state).run())
        works.append(EndedRecordings(state, ledger).run())
        reloader = Reloader(
            *(config_path, config, manager, reload),
            *(lambda kept: journal.keep(_retention(kept)), conf_dir.reapply),
        )
        works.append(reloader.run())
        works += service.works(manager, state, outcomes, reconciler, engine, config.engine, database)
        tasks = [asyncio.create_task(work) for work in works]
        for task in tasks:
            parts.push_async_callback(_end, task)
        log.info("rtcagentd %s runs as %r, state in %s", __version__, config.name, config.state_dir)
        await _stop_asked_for(stopping, tasks)
        manager.stopping()
        log.info("stopping")


def _retention(settings: JournalSettings) -> Retention:
    return Retention(settings.max_events, settings.max_age_days * 86_400, settings.max_bytes)


@contextlib.contextmanager
def _sole_owner(state_dir: Path, runtime_dir: Path) -> Iterator[None]:
    """Hold the lock of the state folder: two daemons would undo each other's work."""
    for folder, mode in ((state_dir, 0o700), (runtime_dir, 0o750)):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    with open(state_dir / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(
                f"another rtcagentd uses the state in {state_dir}: stop it, or set state_dir"
            ) from error
        yield


@contextlib.asynccontextmanager
async def _room_server(config: Config, state: State, instruments: Instruments) -> AsyncIterator[ServerKey | None]:
    """The server of rooms that are joined without one: the embedded one, run here, or the configured one."""

    def tell(running: bool, reason: str) -> None:
        instruments.room_server_up = running
        if not running:
            died = cause(ty.REASON_SERVER_UNREACHABLE, f"the embedded room server ended and is started again: {reason}")
            state.record(event(ev.ErrorOccurred(cause=died)))

    if config.embedded_server is not None:
        settings = (config.embedded_server, config.state_dir, config.runtime_dir, config.retry, tell)
        async with RoomServer(*settings) as server:
            instruments.room_server_up = True
            yield ServerKey(server.url, server.advertised_url, server.api_key, server.api_secret)
    elif config.room_server is not None:
        secret_file = config.room_server.api_secret_file
        try:
            secret = secret_file.read_text().strip() if secret_file is not None else ""
        except OSError as error:
            raise ConfigError(f"room_server.api_secret_file: {error}") from error
        url = config.room_server.url
        yield ServerKey(url, url, config.room_server.api_key, secret)
    else:
        yield None


def _token_endpoint(config: Config) -> Endpoint | None:
    settings = config.token_endpoint
    if settings is None:
        return None
    # Here, so that a daemon without an endpoint does without the HTTP client's 9 MB.
    from rtcagentd.control.token_endpoint import Credentials, CredentialsUnusable, TokenEndpoint

    files = Credentials(settings.ca_file, settings.bearer_file, settings.client_cert, settings.client_key)
    try:
        return TokenEndpoint(settings.url, config.name, files, settings.timeout_ms / 1000)
    except CredentialsUnusable as error:
        raise ConfigError(f"token_endpoint: {error}") from error


async def _say_stopping(state: State) -> None:
    with contextlib.suppress(StoreError):
        await state.record(event(ev.AgentStopping()))


async def _stop_asked_for(stopping: asyncio.Event, tasks: "list[asyncio.Task[None]]") -> None:
    """Wait for `stopping`; WorkFailed when one of `tasks` fails before: without it the daemon would only seem to work.

    One that has nothing to do in this configuration may return.
    """
    pending = {asyncio.create_task(stopping.wait()), *tasks}
    while not stopping.is_set():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if failure := task.exception():
                raise WorkFailed("a part of the daemon failed; what was ordered is stored") from failure


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


def main() -> None:
    """The console script."""
    parser = argparse.ArgumentParser(prog="rtcagentd", description="Puts this machine's camera into RTC rooms.")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help=f"TOML file, default {DEFAULT_CONFIG}")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--use-copy",
        action="store_true",
        help="after going back to this version from a newer one: take the copy of its own state, and exit",
    )
    parser.add_argument("--version", action="version", version=f"rtcagentd {__version__}")
    arguments = parser.parse_args()
    os.umask(0o077)
    try:
        config = load(arguments.config)
        logs.set_up(config.log_level)
        if arguments.use_copy:
            with _sole_owner(config.state_dir, config.runtime_dir):
                print(use_copy(config.state_dir / DATABASE))
        elif not arguments.check:
            asyncio.run(run(config, arguments.config))
    except SchemaTooNew as error:
        command = shlex.join(["rtcagentd", "--config", str(arguments.config), "--use-copy"])
        sys.exit(f"rtcagentd: {error}: {what_to_do(config.state_dir / DATABASE, command)}")
    except WorkFailed as error:
        log.error("%s", error, exc_info=error.__cause__)
        sys.exit(1)
    except (ConfigError, StoreError, RoomServerError, AlreadyRunning) as error:
        sys.exit(f"rtcagentd: {error}")


if __name__ == "__main__":
    main()
