"""A real livekit-server on ports of its own, which can be killed and come back on the same ones."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import IO, Any

import jwt
from livekit import api

from tests.parts.ports import free_ports
from tests.parts.waiting import port_answers, until

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("RTCAGENT_LIVEKIT_SERVER", ROOT / "build" / "sfu" / "livekit-server"))
START_MS = 10_000


class RoomServer:
    """One server. Its key, secret and ports stay the same over kill() and start()."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", interface: str = "lo", first_port: int = 0) -> None:
        self.host = host
        self._interface = interface
        self.key = "test-key"
        self.secret = secrets.token_hex(24)
        self.log_path = folder / "livekit-server.log"
        self._config_path = folder / "livekit.yaml"
        self._log: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        # The server takes UDP and TCP ports apart from each other, so that three that are free are all it needs.
        self._are_ports_given = bool(first_port)
        self._has_run = False
        if first_port:
            self.port, self.tcp_port, self._udp_port = first_port, first_port + 1, first_port + 2
        else:
            self._choose_ports()

    def _choose_ports(self) -> None:
        ports = free_ports(socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
        self.port, self.tcp_port, self._udp_port = ports

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the room server does not run"
        return self._process.pid

    async def start(self) -> None:
        """Run the server; returns when it takes connections."""
        if not os.access(BINARY, os.X_OK):
            raise FileNotFoundError(f"no livekit-server at {BINARY}: build it, or name one in RTCAGENT_LIVEKIT_SERVER")
        config = {  # JSON is YAML
            "port": self.port,
            "bind_addresses": [self.host],
            "rtc": {
                "node_ip": self.host,
                "tcp_port": self.tcp_port,
                "udp_port": self._udp_port,
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": [self._interface]},
            },
            "keys": {self.key: self.secret},
            "logging": {"level": "warn"},
        }
        self._config_path.touch(mode=0o600)
        self._config_path.write_text(json.dumps(config))
        self._log = open(self.log_path, "ab")  # noqa: SIM115, ASYNC230 -- lives as long as the process that writes to it
        self._process = await asyncio.create_subprocess_exec(
            BINARY, "--config", self._config_path, stdout=self._log, stderr=self._log, stdin=asyncio.subprocess.DEVNULL
        )

        async def serves() -> bool:
            assert self._process is not None
            if self._process.returncode is not None:
                raise RuntimeError(f"livekit-server ended with {self._process.returncode}:\n{self.log()[-2000:]}")
            return await port_answers(self.host, self.port)

        try:
            await until(
                serves, timeout_ms=START_MS, what=lambda: f"livekit-server takes connections:\n{self.log()[-2000:]}"
            )
        except RuntimeError:
            if self._has_run or self._are_ports_given or "address already in use" not in self.log():
                raise
            await self.kill()  # another program took a port in between
            self.log_path.unlink()
            self._choose_ports()
            await self.start()
        self._has_run = True

    async def kill(self) -> None:
        """End the server at once, as a crash or a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    async def restart(self) -> None:
        """Kill the server and run it again on the same ports."""
        await self.kill()
        await self.start()

    def token(
        self,
        room_id: str,
        user_id: str,
        *,
        ttl_s: float = 3600,
        secret: str | None = None,
        can_publish: bool = True,
        **grants: Any,
    ) -> str:
        """A room token. `secret`: signed with another than the server's. `grants`: more of LiveKit's video grants."""
        now = int(time.time())
        claims = {
            "iss": self.key,
            "sub": user_id,
            "nbf": now - 5,
            "exp": int(now + ttl_s),
            "video": {
                "roomJoin": True,
                "room": room_id,
                "canPublish": can_publish,
                "canSubscribe": True,
                "canPublishData": True,
                "canUpdateOwnMetadata": True,
                **grants,
            },
        }
        return jwt.encode(claims, secret or self.secret, algorithm="HS256")

    async def kick(self, room_id: str, user_id: str) -> None:
        """Remove a participant, as the room's administrator."""
        async with api.LiveKitAPI(self.url, self.key, self.secret) as admin:
            await admin.room.remove_participant(api.RoomParticipantIdentity(room=room_id, identity=user_id))

    async def delete_room(self, room_id: str) -> None:
        """Close a room with everybody in it."""
        async with api.LiveKitAPI(self.url, self.key, self.secret) as admin:
            await admin.room.delete_room(api.DeleteRoomRequest(room=room_id))

    async def participants(self, room_id: str) -> list[str]:
        """Who is in a room, by identity; as the server sees it."""
        async with api.LiveKitAPI(self.url, self.key, self.secret) as admin:
            answer = await admin.room.list_participants(api.ListParticipantsRequest(room=room_id))
            return sorted(each.identity for each in answer.participants)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    async def __aenter__(self) -> "RoomServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
