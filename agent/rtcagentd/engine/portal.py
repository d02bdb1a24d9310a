"""Screens of a Wayland desktop: asks its portal (org.freedesktop.portal.ScreenCast over D-Bus) for streams of PipeWire.

What the person at the machine allowed is remembered by a token in a file, so that nobody is asked again. The file and
the session's end are known here alone.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbus_fast import BusType, DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError

log = logging.getLogger(__name__)

ASK_S = 4.0  # how long one try waits for the person at the machine; they are asked once, however many tries there are
CALL_S = 5.0

_NAME = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_CAST = "org.freedesktop.portal.ScreenCast"
_REQUEST = "org.freedesktop.portal.Request"
_SESSION = "org.freedesktop.portal.Session"
_BUS = "org.freedesktop.DBus"

DISPLAY, WINDOW = 1, 2  # the portal's source types
_HIDDEN, _EMBEDDED = 1, 2  # its cursor modes
_UNTIL_REVOKED = 2  # its persist mode
_ALLOWED, _CANCELLED = 0, 1  # its answers


@dataclass(frozen=True)
class Asked:
    """What the portal is asked for."""

    target: int  # DISPLAY or WINDOW
    hide_cursor: bool


class PortalScreens:
    """One session with the portal for each source that is shared. On the event loop only.

    `on_closed` is called when the desktop ends a session that was given.
    """

    def __init__(
        self, on_closed: Callable[[str, EngineError], None], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._on_closed = on_closed
        self._environment = environment
        self._sessions: dict[str, _Session] = {}

    async def stream(self, source_id: str, asked: Asked) -> tuple[int, int]:
        """A descriptor of PipeWire, the caller's to close, and the node there. The session stays until `release`.

        EngineError: SHARE_UNANSWERED while the person at the machine has not chosen, SHARE_DENIED, PORTAL_MISSING.
        """
        session = self._sessions.get(source_id)
        if session is None or session.asked != asked or session.is_over:
            self.release(source_id)
            token_file = _token_file(source_id, asked, self._environment)
            session = _Session(asked, token_file, self._environment, lambda error: self._closed(source_id, error))
            self._sessions[source_id] = session
        try:
            async with asyncio.timeout(ASK_S):
                await asyncio.shield(session.started)
        except TimeoutError:
            raise EngineError(
                types.REASON_SHARE_UNANSWERED,
                "the desktop asks the person at the machine what is to be shared, and waits for the answer",
            ) from None
        return await session.open_remote(), session.node

    def release(self, source_id: str) -> None:
        """End the source's session; a question that is still open is withdrawn."""
        if session := self._sessions.pop(source_id, None):
            session.close()

    def release_unless(self, may_stay: Callable[[str], bool]) -> None:
        """End the sessions of all sources for which `may_stay` does not hold."""
        for source_id in list(self._sessions):
            if not may_stay(source_id):
                self.release(source_id)

    def _closed(self, source_id: str, error: EngineError) -> None:
        self._sessions.pop(source_id, None)
        self._on_closed(source_id, error)


async def targets(environment: Mapping[str, str] = os.environ) -> int:
    """The source types that the portal offers, added up. EngineError PORTAL_MISSING."""
    bus = await _connect(environment)
    try:
        return await _offered(bus, "AvailableSourceTypes")
    finally:
        bus.disconnect()


class _Session:
    def __init__(
        self,
        asked: Asked,
        token_file: Path,
        environment: Mapping[str, str],
        on_closed: Callable[[EngineError], None],
    ) -> None:
        self.asked = asked
        self.node = 0
        self._token_file = token_file
        self._environment = environment
        self._on_closed = on_closed
        self._bus: MessageBus | None = None
        self._path = ""
        self._answers: dict[str, asyncio.Future[tuple[int, dict[str, Any]]]] = {}
        self._is_closed = False
        self.started = asyncio.create_task(self._start(), name="portal session")
        self.started.add_done_callback(
            lambda task: task.cancelled() or task.exception()
        )  # there may be nobody who waits

    @property
    def is_over(self) -> bool:
        return self._is_closed or (self.started.done() and (self.started.cancelled() or bool(self.started.exception())))

    async def open_remote(self) -> int:
        assert self._bus is not None
        reply = await _call(self._bus, "OpenPipeWireRemote", "oa{sv}", [self._path, {}])
        return int(reply.unix_fds[reply.body[0]])

    def close(self) -> None:
        self._is_closed = True
        self.started.cancel()
        if self._bus is not None:
            self._bus.disconnect()  # which ends the session, and the question

    async def _start(self) -> None:
        self._bus = bus = await _connect(self._environment)
        bus.add_message_handler(self._on_message)
        for rule in (
            f"type='signal',sender='{_NAME}',interface='{_REQUEST}'",
            f"type='signal',sender='{_NAME}',interface='{_SESSION}'",
            f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{_NAME}'",
        ):
            await _send(bus, Message(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", signature="s", body=[rule]))
        created = await self._ask("CreateSession", "", session_handle_token=Variant("s", "rtcagent"))
        self._path = str(created["session_handle"].value)
        options = {"types": Variant("u", self.asked.target), "multiple": Variant("b", False)}
        mode = _HIDDEN if self.asked.hide_cursor else _EMBEDDED
        if await _offered(bus, "AvailableCursorModes") & mode:
            options["cursor_mode"] = Variant("u", mode)
        if await _offered(bus, "version") >= 4:
            options["persist_mode"] = Variant("u", _UNTIL_REVOKED)
            if token := _read(self._token_file):
                options["restore_token"] = Variant("s", token)
        await self._ask("SelectSources", "o", self._path, **options)
        given = await self._ask("Start", "os", self._path, "")
        if fresh := given.get("restore_token"):
            _write(self._token_file, str(fresh.value))  # each is good for one time
        streams = given["streams"].value
        if not streams:
            raise EngineError(types.REASON_CAPTURE_FAILED, "the desktop's portal allowed sharing and gave no stream")
        self.node = int(streams[0][0])

    async def _ask(self, member: str, signature: str, *arguments: str, **options: Variant) -> dict[str, Any]:
        """One request of the portal, which answers by a signal."""
        bus = self._bus
        assert bus is not None
        sender = (bus.unique_name or "").removeprefix(":").replace(".", "_")
        token = f"rtcagent_{member.lower()}"
        answer: asyncio.Future[tuple[int, dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._answers[f"{_PATH}/request/{sender}/{token}"] = answer
        options["handle_token"] = Variant("s", token)
        await _call(bus, member, signature + "a{sv}", [*arguments, options])
        code, results = await answer
        if code == _ALLOWED:
            return results
        if code == _CANCELLED:
            raise EngineError(types.REASON_SHARE_DENIED, "the person at the machine did not allow sharing the screen")
        raise EngineError(types.REASON_CAPTURE_FAILED, f"the desktop's portal gave up at {member}; see its own log")

    def _on_message(self, message: Message) -> None:
        if message.message_type != MessageType.SIGNAL:
            return
        if message.interface == _REQUEST and message.member == "Response":
            answer = self._answers.pop(message.path or "", None)
            if answer is not None and not answer.done():
                answer.set_result((int(message.body[0]), dict(message.body[1])))
        elif message.interface == _SESSION and message.member == "Closed" and message.path == self._path:
            self._end(EngineError(types.REASON_SHARE_DENIED, "sharing the screen was ended at the machine"))
        elif message.member == "NameOwnerChanged" and message.body[0] == _NAME and message.body[1]:
            self._end(EngineError(types.REASON_CAPTURE_FAILED, "the desktop's portal ended"))

    def _end(self, error: EngineError) -> None:
        if self._is_closed:
            return
        was_given = self.started.done()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
        self._is_closed = True
        if self._bus is not None:
            self._bus.disconnect()
        if was_given:
            self._on_closed(error)


async def _connect(environment: Mapping[str, str]) -> MessageBus:
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    address = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not address and not (runtime and os.path.exists(f"{runtime}/bus")):  # noqa: ASYNC240 -- a socket in memory
        raise _missing(
            "there is no D-Bus session bus: install dbus-user-session, and run the engine in the desktop session"
        )
    try:
        async with asyncio.timeout(CALL_S):
            bus = MessageBus(address or f"unix:path={runtime}/bus", BusType.SESSION, negotiate_unix_fd=True)
            await bus.connect()
    except (OSError, TimeoutError, DBusError) as error:
        raise _missing(f"the D-Bus session bus does not answer: {error}") from error
    try:
        await _offered(bus, "version")
        remote = environment.get("PIPEWIRE_REMOTE", "pipewire-0")
        if not os.path.exists(os.path.join(environment.get("PIPEWIRE_RUNTIME_DIR", runtime), remote)):  # noqa: ASYNC240
            raise _missing("PipeWire does not run: install pipewire and wireplumber, and start both in the session")
    except BaseException:
        bus.disconnect()
        raise
    return bus


async def _offered(bus: MessageBus, name: str) -> int:
    """A number that the portal's ScreenCast shows."""
    message = Message(_NAME, _PATH, "org.freedesktop.DBus.Properties", "Get", signature="ss", body=[_CAST, name])
    try:
        reply = await _send(bus, message)
    except DBusError as error:
        if error.type in (f"{_BUS}.Error.ServiceUnknown", f"{_BUS}.Error.NameHasNoOwner"):
            raise _missing("there is no desktop portal: install xdg-desktop-portal") from error
        raise _missing(
            "the desktop portal has no ScreenCast: install the backend of this desktop (xdg-desktop-portal-wlr, "
            f"-gnome or -kde); it says: {error.text}"
        ) from error
    return int(reply.body[0].value)


async def _call(bus: MessageBus, member: str, signature: str, body: list[Any]) -> Message:
    try:
        return await _send(bus, Message(_NAME, _PATH, _CAST, member, signature=signature, body=body))
    except DBusError as error:
        raise EngineError(types.REASON_CAPTURE_FAILED, f"the desktop's portal: {member}: {error.text}") from error


async def _send(bus: MessageBus, message: Message) -> Message:
    try:
        async with asyncio.timeout(CALL_S):
            reply = await bus.call(message)
    except (TimeoutError, EOFError, OSError) as error:
        raise _missing(f"the desktop's portal does not answer: {error or 'it took too long'}") from error
    assert reply is not None
    if reply.message_type == MessageType.ERROR:
        raise DBusError(reply.error_name or "", str(reply.body[0]) if reply.body else "no reason given")
    return reply


def _missing(message: str) -> EngineError:
    return EngineError(types.REASON_PORTAL_MISSING, message)


def _token_file(source_id: str, asked: Asked, environment: Mapping[str, str]) -> Path:
    """Where the token of what was allowed for this source is kept."""
    state = environment.get("STATE_DIRECTORY", "").split(":")[0] or environment.get("XDG_STATE_HOME", "")
    folder = Path(state) if state else Path(environment.get("HOME", "/nonexistent"), ".local/state")
    return folder / "rtcagent-portal" / f"{source_id}.{'window' if asked.target == WINDOW else 'display'}"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        log.warning("what was allowed to be shared cannot be read, so the person is asked again: %s", error)
        return ""


def _write(path: Path, token: str) -> None:
    """At once or not at all, readable to nobody else."""
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        log.warning("what was allowed to be shared cannot be kept, so the person will be asked again: %s", error)
