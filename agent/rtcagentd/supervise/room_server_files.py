"""The files of the embedded livekit-server: its keys, made once, and its configuration, written at each start."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtcagentd.config import EmbeddedServer

# the ids of rtcagent; livekit-server itself has no limits on them
_MAX_ID_LENGTH = 128
# the largest that livekit-server's clients are known to carry whole in one signalling message
_MAX_METADATA_BYTES = 65_536


@dataclass(frozen=True)
class Keys:
    """With these, tokens for the embedded server are minted."""

    api_key: str
    api_secret: str

    def __repr__(self) -> str:
        return f"Keys({self.api_key!r}, ...)"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def load_keys(path: Path) -> Keys:
    """The keys in `path`, a line "KEY: SECRET", made at the first call. ValueError: the file holds something else."""
    if not path.exists():
        write_private(path, f"rtcagent-{secrets.token_hex(4)}: {secrets.token_urlsafe(36)}\n")
    api_key, separator, api_secret = path.read_text().strip().partition(": ")
    if not separator or not api_key or len(api_secret) < 32:
        raise ValueError(
            f"{path} does not hold `KEY: SECRET` with a secret of 32 characters: remove it, and new keys are made"
        )
    return Keys(api_key, api_secret)


def server_configuration(settings: EmbeddedServer, keys: Keys, log_level: str) -> str:
    """The text of livekit-server's configuration file (JSON is YAML)."""
    loopback = settings.expose == "loopback"
    rtc: dict[str, Any] = {
        "udp_port": settings.rtc_udp_port,
        "use_external_ip": False,
        "node_ip": "127.0.0.1" if loopback else settings.advertise_ip,
        # 0: livekit-server cannot bind this port to one address, so that it stays closed unless the network may have it
        "tcp_port": 0 if loopback else settings.rtc_tcp_port,
    }
    if loopback:
        rtc["enable_loopback_candidate"] = True
        rtc["ips"] = {"includes": ["127.0.0.1/32"]}
        # Else each participant asks name servers for public STUN servers, which say nothing of use about this machine.
        rtc["stun_servers"] = ["127.0.0.1:9"]  # where nobody answers; at a port of its own, media never connected
    return json.dumps(
        {
            "port": settings.port,
            "bind_addresses": ["127.0.0.1"] if loopback else [""],
            "keys": {keys.api_key: keys.api_secret},
            "rtc": rtc,
            "room": {"auto_create": True, "empty_timeout": 300, "departure_timeout": 20},
            "limit": {
                "max_metadata_size": _MAX_METADATA_BYTES,
                "max_room_name_length": _MAX_ID_LENGTH,
                "max_participant_identity_length": _MAX_ID_LENGTH,
            },
            "logging": {"level": log_level, "json": True},
        },
        indent=2,
    )
