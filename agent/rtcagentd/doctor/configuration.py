"""Looks at the configuration, and at the files that it names."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from rtcagentd.config import Config, ConfigError, Listener, load
from rtcagentd.doctor import units
from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Processes, may_read

ABOUT = "configuration"
EXPIRES_SOON = timedelta(days=14)


def read(path: Path) -> tuple[Config, list[Finding]]:
    """The configuration, or the defaults where it cannot be used."""
    try:
        return load(path), [ok(ABOUT, f"{path} is in order")]
    except ConfigError as error:
        advice = (
            "name another with --config"
            if not path.exists()
            else f"correct it, then: rtcagentd --config {path} --check"
        )
        if not path.exists():
            return Config(), [problem(ABOUT, f"there is no configuration {path}", advice)]
        return Config(), [problem(ABOUT, " ".join(str(error).split()), advice)]


def check(config: Config, processes: Processes) -> Iterator[Finding]:
    """The files that the configuration names, and whether the daemon may read them."""
    for listener in config.listeners:
        yield from _listener(listener)
    server = config.room_server
    if server is not None and server.api_secret_file is not None:
        yield from _secret("room server key", server.api_secret_file)
    for path in _files(config):
        yield from _readable(path, config, processes)
    engine = processes.engine_account
    for folder in config.media.folders:
        if not folder.is_dir():
            yield note("media folder", f"{folder} is no folder", "create it, or correct media.folders")
        elif may_read(engine, folder) is False:
            text = f"{engine.name}, as whom the engine runs, may not read {folder}"
            yield problem("media folder", text, f"chmod o+rX {folder}, and the folders above it")


def _files(config: Config) -> Iterator[Path]:
    """Those that the daemon reads."""
    wanted: list[Path | None] = [config.desired.folder]
    for listener in config.listeners:
        wanted.append(listener.token_file)
        if listener.tls is not None:
            wanted += [listener.tls.cert, listener.tls.key, listener.tls.client_ca]
    if config.room_server is not None:
        wanted.append(config.room_server.api_secret_file)
    if (endpoint := config.token_endpoint) is not None:
        wanted += [endpoint.ca_file, endpoint.bearer_file, endpoint.client_cert, endpoint.client_key]
    for path in wanted:
        if path is not None:
            yield path


def _readable(path: Path, config: Config, processes: Processes) -> Iterator[Finding]:
    who = processes.daemon_account
    advice = f"chown {who.name} {path}, and let {who.name} into the folders above it"
    try:
        may = may_read(who, path)
    except FileNotFoundError:
        return  # told of where it is looked into
    except OSError as error:
        yield note(str(path), f"it cannot be looked at: {error.strerror}", "run this as root")
        return
    if config.engine.launcher == "systemd" and any(path.is_relative_to(each) for each in units.HIDDEN):
        yield problem(str(path), "the service sees neither homes nor /tmp", "move it below /etc/rtcagent")
    elif may is False:
        yield problem(str(path), f"{who.name}, as whom rtcagentd runs, may not read it", advice)


def _listener(listener: Listener) -> Iterator[Finding]:
    about = f"listener {listener.address}"
    if listener.is_unix and len(str(listener.socket_path).encode()) > 107:
        yield problem(
            about, "the path is longer than the 107 bytes that a unix socket may have", "choose a shorter one"
        )
    if listener.token_file is not None:
        yield from _secret(f"{about}: tokens", listener.token_file)
    if listener.tls is not None:
        yield from _secret(f"{about}: key", listener.tls.key)
        yield from _certificate(f"{about}: certificate", listener.tls.cert)


def _secret(about: str, path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield problem(about, f"{path} cannot be used: {error.strerror}", "create it, or correct the configuration")
        return
    if stat.S_IMODE(mode) & 0o077:
        yield problem(about, f"others may open {path}", f"chmod 600 {path}")


def _certificate(about: str, path: Path) -> Iterator[Finding]:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        yield problem(about, f"{path} cannot be used: {error}", "give a certificate as a PEM file")
        return
    now, end = datetime.now(UTC), certificate.not_valid_after_utc
    text = f"{path} is valid until {end:%Y-%m-%d}"
    if end < now:
        yield problem(about, f"{path} has expired on {end:%Y-%m-%d}", "renew it: controllers refuse it")
    elif certificate.not_valid_before_utc > now:
        yield problem(about, f"{path} is not valid yet", "look whether the machine's clock is right")
    else:
        yield note(about, text, "renew it") if end - now < EXPIRES_SOON else ok(about, text)
