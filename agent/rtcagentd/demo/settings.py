"""What `make run` was asked for, and the configuration and secrets that it writes for the daemon."""

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rtcagentd.access.certificates import fingerprint, self_signed
from rtcagentd.access.tokens import new_token, token_line
from rtcagentd.demo.address import reachable_address, resolve
from rtcagentd.supervise.room_server_files import write_private

CHECKOUT = Path(__file__).resolve().parents[3]
# the kernel takes 107 characters for the path of a unix socket; the longest name of ours is shorter than 30
_LONGEST_FOLDER = 75


class DemoError(Exception):
    """The demo cannot run; the text says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """The variables of `make run`. LAN and CAMERA lead to stores of their own: orders of one never open the other."""

    lan: bool
    camera: bool
    host: str  # how others reach this machine; empty without LAN
    port: int
    server_port: int
    server_tcp_port: int
    server_udp_port: int
    run_dir: Path
    runtime_dir: Path

    @property
    def state_dir(self) -> Path:
        return self.run_dir / f"{'lan' if self.lan else 'local'}-{'camera' if self.camera else 'picture'}"

    @property
    def config_path(self) -> Path:
        return self.run_dir / "rtcagent.toml"

    @property
    def log_path(self) -> Path:
        return self.run_dir / "rtcagentd.log"

    @property
    def cert_path(self) -> Path:
        return self.run_dir / "server.pem"

    @property
    def key_path(self) -> Path:
        return self.run_dir / "server-key.pem"

    @property
    def token_path(self) -> Path:
        return self.run_dir / "controller-token"

    @property
    def tokens_path(self) -> Path:
        return self.run_dir / "tokens"

    @property
    def socket_address(self) -> str:
        return f"unix:{self.runtime_dir / 'control.sock'}"

    @property
    def local_address(self) -> str:
        """The shortest address for controllers on this machine."""
        return self.socket_address if self.lan else f"127.0.0.1:{self.port}"

    @property
    def lan_address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in the environment, which make fills. DemoError names what is wrong."""
    lan = _flag(environment, "LAN", False)
    run_dir = Path(environment.get("RTCAGENT_RUN_DIR") or CHECKOUT / ".run").absolute()
    runtime_dir = run_dir / "sockets"
    if len(os.fsencode(runtime_dir)) > _LONGEST_FOLDER:
        runtime_dir = Path(tempfile.gettempdir()) / f"rtcagent-{os.getuid()}-{_number(str(run_dir))}"
    return Settings(
        lan=lan,
        camera=_flag(environment, "CAMERA", not lan),
        host=_host(environment.get("HOST", "")) if lan else "",
        port=_port(environment, "PORT", 7440),
        server_port=_port(environment, "SERVER_PORT", 7880),
        server_tcp_port=_port(environment, "SERVER_TCP_PORT", 7881),
        server_udp_port=_port(environment, "SERVER_UDP_PORT", 7882),
        run_dir=run_dir,
        runtime_dir=runtime_dir,
    )


def write_files(settings: Settings, livekit_server: Path) -> None:
    """Make the folders, at first use the certificate and token of LAN=1, and the daemon's configuration."""
    for folder in (settings.run_dir, settings.state_dir, settings.runtime_dir):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if folder.stat().st_uid != os.getuid():
            raise DemoError(
                f"{folder} belongs to another user; remove it, or set RTCAGENT_RUN_DIR to a folder of yours"
            )
    if settings.lan:
        if not (settings.cert_path.exists() and settings.key_path.exists()):
            hosts = (settings.host, socket.gethostname(), "localhost", "127.0.0.1")
            self_signed(hosts).write(settings.cert_path, settings.key_path)
        if not settings.token_path.exists():
            write_private(settings.token_path, new_token() + "\n")
        write_private(settings.tokens_path, token_line("controller", settings.token_path.read_text().strip()))
    write_private(settings.config_path, _configuration(settings, livekit_server))


def server_fingerprint(settings: Settings) -> str:
    """What controllers on other machines trust the agent by."""
    return fingerprint(settings.cert_path.read_bytes())


def _configuration(settings: Settings, livekit_server: Path) -> str:
    lines = [
        "# Written by `make run`, at each start anew. deploy/rtcagent.toml explains every setting.",
        f"state_dir = {_text(settings.state_dir)}",
        f"runtime_dir = {_text(settings.runtime_dir)}",
        f"desired = {{ folder = {_text(settings.run_dir / 'conf.d')} }}",
        "display = { default_layout = false }  # the desktop of whoever tries this is in use",
        "[[listen]]",
        f"address = {_text(settings.socket_address)}",
        "[[listen]]",
    ]
    if settings.lan:
        lines += [
            f"address = {_text(settings.lan_address)}",
            f"token_file = {_text(settings.tokens_path)}",
            f"tls = {{ cert = {_text(settings.cert_path)}, key = {_text(settings.key_path)} }}",
        ]
    else:
        lines += [f"address = {_text(settings.local_address)}", "insecure = true"]
    lines += [
        "[embedded_server]",
        f"binary = {_text(livekit_server)}",
        f"port = {settings.server_port}",
        f"rtc_tcp_port = {settings.server_tcp_port}",
        f"rtc_udp_port = {settings.server_udp_port}",
    ]
    if settings.lan:
        lines += ['expose = "lan"', f"advertise_ip = {_text(settings.host)}"]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _number(text: str) -> str:
    """Tells checkouts apart in one folder."""
    return f"{sum(ord(character) * 31**index for index, character in enumerate(text)) % 10**8:08d}"


def _flag(environment: Mapping[str, str], name: str, default: bool) -> bool:
    value = environment.get(name, "")
    if value not in ("", "0", "1"):
        raise DemoError(f"{name}={value} is neither {name}=1 nor {name}=0")
    return default if not value else value == "1"


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "") or str(default)
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise DemoError(f"{name}={value} is not a port: give a number from 1 to 65535")
    return int(value)


def _host(wanted: str) -> str:
    if wanted:
        try:
            return resolve(wanted)
        except OSError as error:
            raise DemoError(
                f"HOST={wanted} has no address ({error.strerror}); give this machine's IP address"
            ) from error
    found = reachable_address()
    if found is None:
        raise DemoError("this machine has no network address but loopback; connect it, or give one as HOST=ADDRESS")
    return found
