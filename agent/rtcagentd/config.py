"""The configuration file (TOML): settings, defaults and checks. deploy/rtcagent.toml explains each of them."""

import ipaddress
import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rtcagentd.control.ids import USER_ID_PATTERN


class ConfigError(Exception):
    """The configuration cannot be used; the text names every wrong key with its place."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"must be an absolute path, not {str(path)!r}")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Section):
    """Certificates of a TCP listener, as PEM files."""

    cert: AbsolutePath
    key: AbsolutePath
    client_ca: AbsolutePath | None = None


class Listener(_Section):
    """One place where controllers may call."""

    address: str
    tls: Tls | None = None
    token_file: AbsolutePath | None = None
    insecure: bool = False

    @property
    def is_unix(self) -> bool:
        return self.address.startswith("unix:")

    @property
    def socket_path(self) -> Path:
        return Path(self.address.removeprefix("unix:"))

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _check(self) -> "Listener":
        if self.is_unix:
            if not self.socket_path.is_absolute():
                raise ValueError("a unix socket is written unix:/absolute/path")
            if self.tls or self.token_file or self.insecure:
                raise ValueError("a unix socket takes neither tls, token_file nor insecure: who may open it, may call")
            return self
        try:
            host, port = self.host_and_port
        except ValueError:
            raise ValueError(f"{self.address!r} is neither unix:/path nor host:port") from None
        if not host or not 0 <= port <= 65535:
            raise ValueError(f"{self.address!r} is neither unix:/path nor host:port")
        authenticated = self.tls is not None and (self.token_file is not None or self.tls.client_ca is not None)
        if self.insecure:
            if self.tls or self.token_file:
                raise ValueError("insecure means without tls and token_file: remove it or them")
            if not _is_loopback(host):
                raise ValueError(f"insecure is for loopback addresses only, and {host!r} is not one: configure tls")
        elif not authenticated:
            raise ValueError(
                "needs tls with a token_file, or tls with a client_ca; on a loopback address `insecure = true` will do"
            )
        elif self.tls is not None and self.tls.client_ca and self.token_file:
            raise ValueError("takes either a token_file or tls.client_ca, not both: make two listeners")
        return self


class EmbeddedServer(_Section):
    """The livekit-server that the daemon runs itself."""

    binary: AbsolutePath
    expose: Literal["loopback", "lan"] = "loopback"
    advertise_ip: str = ""
    port: Port = 7880
    rtc_tcp_port: Port = 7881
    rtc_udp_port: Port = 7882

    @model_validator(mode="after")
    def _check(self) -> "EmbeddedServer":
        if self.expose == "lan" and not self.advertise_ip:
            raise ValueError("expose = 'lan' needs advertise_ip, the address that others reach this machine by")
        return self


class RoomServer(_Section):
    """A room server that runs elsewhere."""

    url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")]
    api_key: str = ""
    api_secret_file: AbsolutePath | None = None

    @model_validator(mode="after")
    def _check(self) -> "RoomServer":
        if bool(self.api_key) != bool(self.api_secret_file):
            raise ValueError("api_key and api_secret_file go together: with both, the agent mints room tokens itself")
        return self


class TokenEndpointSettings(_Section):
    """Where the agent fetches room tokens; see docs/tokens.md."""

    url: str
    insecure: bool = False
    ca_file: AbsolutePath | None = None
    bearer_file: AbsolutePath | None = None
    client_cert: AbsolutePath | None = None
    client_key: AbsolutePath | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=15_000)] = 5_000

    @model_validator(mode="after")
    def _check(self) -> "TokenEndpointSettings":
        try:
            parts = urlsplit(self.url)
            host = parts.hostname or ""
            _ = parts.port
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("https", "http") or parts.username is not None or parts.fragment:
            raise ValueError("url is not https://host/path (without a user, a password or a #fragment)")
        if parts.scheme == "http" and not (self.insecure and _is_loopback(host)):
            raise ValueError("url must be https://; on a loopback address, http:// with `insecure = true` will do")
        if parts.scheme == "https" and self.insecure:
            raise ValueError("insecure means http:// on a loopback address: remove it")
        if bool(self.client_cert) != bool(self.client_key):
            raise ValueError("client_cert and client_key go together")
        if parts.scheme == "http" and (self.ca_file or self.client_cert):
            raise ValueError("ca_file, client_cert and client_key need an https:// url")
        return self


class EngineSettings(_Section):
    """The engine process."""

    kind: Literal["livekit"] = "livekit"
    launcher: Literal["child", "systemd"] = "child"
    unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]+\.service$")] = "rtcagent-engine.service"
    socket: AbsolutePath = Path("/run/rtcagent-engine/engine.sock")
    start_timeout_ms: Annotated[int, Field(ge=1000, le=120_000)] = 20_000
    heartbeat_timeout_ms: Annotated[int, Field(ge=1500, le=60_000)] = 3_000
    max_rss_mb: Annotated[int, Field(ge=0)] = 1_500


class MediaSettings(_Section):
    """Which files may be played as sources."""

    folders: list[AbsolutePath] = []


class DisplaySettings(_Section):
    """The displays of this machine."""

    wayland: str = ""
    x11: str = ""
    default_layout: bool = True

    @model_validator(mode="after")
    def _check(self) -> "DisplaySettings":
        if self.wayland and self.x11:
            raise ValueError("takes either wayland or x11, not both")
        return self


class RecordingSettings(_Section):
    """Where recordings are written, and what they leave to others; see docs/recording.md."""

    folder: AbsolutePath | None = None
    min_free_mb: Annotated[int, Field(ge=0)] = 500
    max_mb: Annotated[int, Field(ge=0)] = 0
    max_minutes: Annotated[int, Field(ge=0)] = 0


class DesiredSettings(_Section):
    """The desired state that files of this machine ask for."""

    folder: AbsolutePath = Field(
        default_factory=lambda: _folder_of("CONFIGURATION_DIRECTORY", "/etc/rtcagent") / "conf.d"
    )


class JournalSettings(_Section):
    """How much of the event log is kept."""

    max_events: Annotated[int, Field(ge=1000)] = 200_000
    max_age_days: Annotated[float, Field(gt=0)] = 30
    max_bytes: Annotated[int, Field(ge=1_000_000)] = 100_000_000


class RetrySettings(_Section):
    """Back-off between tries of what failed for a passing reason."""

    first_ms: Annotated[int, Field(ge=10)] = 250
    max_ms: Annotated[int, Field(ge=100)] = 10_000
    spread_ms: Annotated[int, Field(ge=0, le=600_000)] = 300
    refused_first_ms: Annotated[int, Field(ge=100)] = 60_000
    refused_max_ms: Annotated[int, Field(ge=100)] = 600_000


class MetricsSettings(_Section):
    """Where Prometheus may read the metrics."""

    address: str | None = None
    allow_remote: bool = False

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = (self.address or "").rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _check(self) -> "MetricsSettings":
        if self.address is None:
            return self
        try:
            host, port = self.host_and_port
        except ValueError:
            host, port = "", 0
        if not host or not 1 <= port <= 65535:
            raise ValueError(f"{self.address!r} is not host:port")
        if not self.allow_remote and not _is_loopback(host):
            raise ValueError(
                f"whoever reaches {host!r} could read the names of rooms, users and sources: take a loopback address, "
                "or say allow_remote = true"
            )
        return self


class Config(_Section):
    """The whole file."""

    name: Annotated[str, Field(pattern=USER_ID_PATTERN)] = Field(default_factory=socket.gethostname)
    state_dir: AbsolutePath = Field(default_factory=lambda: _folder_of("STATE_DIRECTORY", "/var/lib/rtcagent"))
    runtime_dir: AbsolutePath = Field(default_factory=lambda: _folder_of("RUNTIME_DIRECTORY", "/run/rtcagent"))
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen: list[Listener] = []
    embedded_server: EmbeddedServer | None = None
    room_server: RoomServer | None = None
    token_endpoint: TokenEndpointSettings | None = None
    engine: EngineSettings = EngineSettings()
    media: MediaSettings = MediaSettings()
    display: DisplaySettings = DisplaySettings()
    recording: RecordingSettings = RecordingSettings()
    desired: DesiredSettings = Field(default_factory=DesiredSettings)
    journal: JournalSettings = JournalSettings()
    retry: RetrySettings = RetrySettings()
    metrics: MetricsSettings = MetricsSettings()

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.embedded_server and self.room_server:
            raise ValueError("takes either [embedded_server] or [room_server], not both")
        return self

    @property
    def recording_folder(self) -> Path:
        """The configured one; else one of the engine's own, which is there already."""
        if self.recording.folder is not None:
            return self.recording.folder
        is_child = self.engine.launcher == "child"
        return self.state_dir / "recordings" if is_child else Path("/var/lib/rtcagent-engine/recordings")

    @property
    def listeners(self) -> list[Listener]:
        """The configured listeners, else the unix socket in the runtime directory."""
        return self.listen or [Listener(address=f"unix:{self.runtime_dir / 'control.sock'}")]


def load(path: Path) -> Config:
    """Read `path`. ConfigError lists every unknown or wrong key."""
    try:
        with open(path, "rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {os.strerror(error.errno or 0)}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        problems = [f"  {_place(item['loc'])}: {_explain(item)}" for item in error.errors()]
        raise ConfigError("\n".join([f"{path} has {len(problems)} wrong setting(s):", *problems])) from error


def _folder_of(variable: str, otherwise: str) -> Path:
    """The folder that systemd made for this unit, of the machine or of a session."""
    return Path(os.environ.get(variable, "").partition(":")[0] or otherwise)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def _explain(item: object) -> str:
    assert isinstance(item, dict)
    if item["type"] == "extra_forbidden":
        return "no such setting (see deploy/rtcagent.toml for all of them)"
    return str(item["msg"]).removeprefix("Value error, ")
