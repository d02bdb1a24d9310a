"""Serves the API on every configured listener, each with the check that its configuration asks for."""

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from rtcagent.v1 import (
    agent_pb2_grpc,
    canvases_pb2_grpc,
    capture_pb2_grpc,
    devices_pb2_grpc,
    recordings_pb2_grpc,
    rooms_pb2_grpc,
    screen_pb2_grpc,
)

from rtcagentd.access.guard import GuardedRegistry, authenticator
from rtcagentd.access.tokens import TokenFileError
from rtcagentd.api.agent import AgentService
from rtcagentd.api.canvases import CanvasesService
from rtcagentd.api.capture import CaptureService
from rtcagentd.api.devices import DevicesService
from rtcagentd.api.recordings import RecordingsService
from rtcagentd.api.rooms import RoomsService
from rtcagentd.api.screen import ScreenService
from rtcagentd.api.status import to_status
from rtcagentd.config import ConfigError, Listener

log = logging.getLogger(__name__)

STOP_GRACE_S = 1.0
MAX_REQUEST_BYTES = 17 << 20  # a message of 16 MiB to a room
SERVICES = (
    "rtcagent.v1.Agent",
    "rtcagent.v1.Rooms",
    "rtcagent.v1.Capture",
    "rtcagent.v1.Devices",
    "rtcagent.v1.Screen",
    "rtcagent.v1.Canvases",
    "rtcagent.v1.Recordings",
)
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.so_reuseport", 0),  # a second daemon on the same port is an error, not a share
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
]

_Serving = health_pb2.HealthCheckResponse


class ApiServer:
    """All listeners. `async with` serves; leaving ends every call within STOP_GRACE_S."""

    def __init__(
        self,
        listeners: list[Listener],
        agent: AgentService,
        rooms: RoomsService,
        capture: CaptureService,
        devices: DevicesService,
        screen: ScreenService,
        canvases: CanvasesService,
        recordings: RecordingsService,
    ) -> None:
        self._listeners = listeners
        self._health = health.aio.HealthServicer()
        self._register: list[Callable[[Any], None]] = [
            lambda server: agent_pb2_grpc.add_AgentServicer_to_server(agent, server),
            lambda server: rooms_pb2_grpc.add_RoomsServicer_to_server(rooms, server),
            lambda server: capture_pb2_grpc.add_CaptureServicer_to_server(capture, server),
            lambda server: devices_pb2_grpc.add_DevicesServicer_to_server(devices, server),
            lambda server: screen_pb2_grpc.add_ScreenServicer_to_server(screen, server),
            lambda server: canvases_pb2_grpc.add_CanvasesServicer_to_server(canvases, server),
            lambda server: recordings_pb2_grpc.add_RecordingsServicer_to_server(recordings, server),
            lambda server: health_pb2_grpc.add_HealthServicer_to_server(self._health, server),
            lambda server: reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
                reflection.aio.ReflectionServicer((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)), server
            ),
        ]
        self._servers: list[grpc.aio.Server] = []

    async def __aenter__(self) -> "ApiServer":
        try:
            for listener in self._listeners:
                await self._serve(listener)
        except BaseException:
            await self._stop()
            raise
        await self.set_health("", True)
        await self.set_health("api", True)
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            await self._health.enter_graceful_shutdown()
        await self._stop()

    async def set_health(self, service: str, is_serving: bool) -> None:
        """Tell grpc.health.v1 how a part is: "" and "api" the daemon; the others are api/health.py's."""
        await self._health.set(service, _Serving.SERVING if is_serving else _Serving.NOT_SERVING)

    async def _serve(self, listener: Listener) -> None:
        server = grpc.aio.server(options=_OPTIONS)
        try:
            is_by_token = listener.token_file is not None
            registry = GuardedRegistry(server, authenticator(listener), to_status, before_reading=is_by_token)
            for register in self._register:
                register(registry)
            await asyncio.to_thread(_clear_socket, listener)
            if listener.is_unix or listener.tls is None:
                server.add_insecure_port(listener.address)
            else:
                server.add_secure_port(listener.address, _credentials(listener))
        except TokenFileError as error:
            raise ConfigError(f"listener {listener.address}: {error}") from error
        except (RuntimeError, OSError) as error:
            raise ConfigError(f"cannot listen on {listener.address}: {error}") from error
        await server.start()
        if listener.is_unix:
            listener.socket_path.chmod(0o660)
        self._servers.append(server)
        log.info("listening on %s", listener.address)

    async def _stop(self) -> None:
        servers, self._servers = self._servers, []
        await asyncio.gather(*(server.stop(STOP_GRACE_S) for server in servers))


def _credentials(listener: Listener) -> grpc.ServerCredentials:
    tls = listener.tls
    assert tls is not None
    client_ca = tls.client_ca.read_bytes() if tls.client_ca is not None else None
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.cert.read_bytes())], client_ca, require_client_auth=client_ca is not None
    )


def _clear_socket(listener: Listener) -> None:
    """Make the socket's folder, and remove the socket of an earlier daemon (this one holds the lock of the state
    folder).
    """
    if not listener.is_unix:
        return
    path = listener.socket_path
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError(f"cannot listen on {listener.address}: a file that is no socket is there")
        path.unlink()
