"""Makes the connection that the options name, and says in a few words why there can be none."""

import argparse

from rtcagent_client import address as addresses
from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl.arguments import read_secret

_PROBE_S = 3.0


def trouble(args: argparse.Namespace) -> str:
    """Why nobody can be reached; empty when somebody listens. Asked before gRPC tries, because the kernel says more
    plainly why, and at once.
    """
    address = _address(args)
    why = addresses.probe(address, min(_PROBE_S, args.timeout or _PROBE_S))
    if not why:
        return ""
    hint = "is this user in the socket's group?" if "permission" in why else "is it running?"
    return f"cannot reach rtcagentd at {address}: {why}; {hint} (--address or {addresses.ADDRESS_VARIABLE})"


def connect(args: argparse.Namespace) -> Client:
    """A client of the agent that the options name."""
    token = read_secret(args.token_file) if args.token_file else None
    return Client.connect(
        str(_address(args)),
        token,
        args.ca_file,
        args.cert_file,
        args.key_file,
        args.server_fingerprint,
        timeout_s=args.timeout,
    )


def _address(args: argparse.Namespace) -> addresses.Address:
    return addresses.parse(args.address) if args.address else addresses.default()
