"""How to reach one agent: everything that a channel of either kind of gRPC is made with."""

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from rtcagent_client import address as addresses
from rtcagent_client import tls
from rtcagent_client.address import Address

TOKEN_VARIABLE = "RTCAGENT_TOKEN"

_MAX_MESSAGE_BYTES = 256 << 20  # a PNG of the largest picture there is

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # gRPC's own back-off grows to two minutes, far longer than a daemon takes to restart.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 3000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Clients of one process must not share the back-off of a connection.
    ("grpc.use_local_subchannel_pool", 1),
    # An agent is on this machine or in the LAN; a web proxy of the environment is not meant for it.
    ("grpc.enable_http_proxy", 0),
)

# Over a network a vanished peer is noticed by pings alone; on a unix socket the kernel tells.
_KEEPALIVE: tuple[tuple[str, int | str], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Made by `settings()`."""

    address: Address
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, int | str], ...]
    metadata: tuple[tuple[str, str], ...]  # to be sent with every call


def settings(
    address: str | None,
    token: str | None,
    ca_file: str | os.PathLike[str] | None,
    cert_file: str | os.PathLike[str] | None,
    key_file: str | os.PathLike[str] | None,
    server_fingerprint: str | None,
) -> ChannelSettings:
    """Check the arguments of connect(). Blocks only to fetch the certificate of a `server_fingerprint`.

    ValueError: the arguments contradict each other. OSError: a file cannot be read. UntrustedServer, Unavailable: see
    tls.pin.
    """
    where = addresses.parse(address) if address else addresses.default()
    wants_tls = ca_file is not None or server_fingerprint is not None
    if ca_file is not None and server_fingerprint is not None:
        raise ValueError("give either ca_file or server_fingerprint, not both")
    if (cert_file is None) != (key_file is None):
        raise ValueError("cert_file and key_file go together")
    if cert_file is not None and not wants_tls:
        raise ValueError("a client certificate needs ca_file or server_fingerprint too")
    if wants_tls and where.is_unix:
        raise ValueError(f"{where} is a unix socket and has no TLS: leave ca_file and server_fingerprint away")
    if token is None:
        # From the environment it is meant for remote listeners; on a socket or without TLS to a remote one it is left
        # out or refused below.
        token = os.environ.get(TOKEN_VARIABLE) if not where.is_unix else None
    if token and not wants_tls and not where.is_local:
        raise ValueError(f"a token for {where} would be sent in the clear: give ca_file or server_fingerprint too")
    options = _OPTIONS if where.is_unix else (*_OPTIONS, *_KEEPALIVE)
    credentials = None
    if wants_tls:
        if server_fingerprint is not None:
            pinned = tls.pin(
                where,
                server_fingerprint,
                cert_file=None if cert_file is None else os.fspath(cert_file),
                key_file=None if key_file is None else os.fspath(key_file),
            )
            roots = pinned.pem.encode()
            options = (*options, ("grpc.ssl_target_name_override", pinned.name))
        else:
            assert ca_file is not None
            roots = Path(ca_file).read_bytes()
        credentials = grpc.ssl_channel_credentials(
            root_certificates=roots,
            private_key=None if key_file is None else Path(key_file).read_bytes(),
            certificate_chain=None if cert_file is None else Path(cert_file).read_bytes(),
        )
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return ChannelSettings(where, credentials, options, metadata)
