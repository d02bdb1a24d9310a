"""Looks whether the ports that the agent wants are free, or its own already."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from rtcagentd.config import Config
from rtcagentd.doctor.findings import Finding, ok, problem
from rtcagentd.doctor.processes import PROC, Processes, ancestors, command_of

TABLES = {socket.SOCK_STREAM: ("tcp", "tcp6"), socket.SOCK_DGRAM: ("udp", "udp6")}
LISTENS = "0A"


@dataclass(frozen=True, slots=True)
class Wanted:
    setting: str
    host: str
    port: int
    kind: socket.SocketKind = socket.SOCK_STREAM

    @property
    def name(self) -> str:
        return f"{'TCP' if self.kind == socket.SOCK_STREAM else 'UDP'} port {self.port}"


def check(config: Config, processes: Processes) -> Iterator[Finding]:
    """Every port of the configuration."""
    for wanted in _wanted(config):
        error = _try(wanted)
        if error == 0:
            yield ok(wanted.name, f"free for {wanted.setting}")
            continue
        if error != errno.EADDRINUSE:
            advice = f"correct {wanted.setting}"
            yield problem(wanted.name, f"{wanted.host}:{wanted.port} cannot be used: {os.strerror(error)}", advice)
            continue
        owner = _owner(wanted)
        daemon = processes.daemon
        if daemon is not None and (owner is None or daemon.pid in ancestors(owner)):
            yield ok(wanted.name, f"in use by the running agent for {wanted.setting}")
        else:
            by = f"{command_of(owner)} (pid {owner})" if owner is not None else "another program"
            advice = f"end that program, or set {wanted.setting} to a free port"
            yield problem(wanted.name, f"wanted for {wanted.setting} and in use by {by}", advice)


def _wanted(config: Config) -> Iterator[Wanted]:
    for listener in config.listeners:
        if not listener.is_unix:
            yield Wanted("listen.address", *listener.host_and_port)
    if config.metrics.address is not None:
        yield Wanted("metrics.address", *config.metrics.host_and_port)
    server = config.embedded_server
    if server is not None:
        host = "127.0.0.1" if server.expose == "loopback" else "0.0.0.0"
        yield Wanted("embedded_server.port", host, server.port)
        yield Wanted("embedded_server.rtc_udp_port", host, server.rtc_udp_port, socket.SOCK_DGRAM)
        if server.expose == "lan":
            yield Wanted("embedded_server.rtc_tcp_port", host, server.rtc_tcp_port)


def _try(wanted: Wanted) -> int:
    """Bind as the agent would. Returns the error, 0 for none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(wanted.host, wanted.port, type=wanted.kind)[0]
        with socket.socket(family, kind, protocol) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return errno.EADDRNOTAVAIL if isinstance(error, socket.gaierror) else error.errno or errno.EIO
    return 0


def _owner(wanted: Wanted) -> int | None:
    """The process that has the port open, where we may know."""
    inodes = set()
    for table in TABLES[wanted.kind]:
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                is_listening = wanted.kind == socket.SOCK_DGRAM or words[3] == LISTENS
                if is_listening and int(words[1].rpartition(":")[2], 16) == wanted.port:
                    inodes.add(f"socket:[{words[9]}]")
    for folder in PROC.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for link in folder.iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(link) in inodes:
                        return int(folder.parent.name)
    return None
