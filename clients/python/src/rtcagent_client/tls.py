"""Trusts a server by the fingerprint of its self-signed certificate instead of a certificate authority."""

import hashlib
import hmac
import re
import socket
import ssl
from dataclasses import dataclass

from rtcagent_client.address import Address
from rtcagent_client.errors import Unavailable, UntrustedServer


@dataclass(frozen=True, slots=True)
class PinnedCertificate:
    """A server's certificate whose fingerprint was the expected one."""

    pem: str
    name: str  # a name in the certificate, to be expected instead of the address


def digest_of(fingerprint: str) -> bytes:
    """Read "sha256:" and 64 hex digits, also without the prefix or with colons between them. ValueError otherwise."""
    digits = fingerprint.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError(f"{fingerprint!r} is no fingerprint: it is written sha256: and 64 hex digits")
    return bytes.fromhex(digits)


def pin(
    address: Address, fingerprint: str, *, cert_file: str | None, key_file: str | None, timeout_s: float = 5.0
) -> PinnedCertificate:
    """Fetch the server's certificate and compare it. Blocks. UntrustedServer: it is another; Unavailable: no answer."""
    expected = digest_of(fingerprint)
    unverified = _context(cert_file, key_file)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with _handshake(address, unverified, timeout_s) as connection:
        der = connection.getpeercert(binary_form=True)
    assert der is not None  # a TLS server always has one
    actual = hashlib.sha256(der).digest()
    if not hmac.compare_digest(actual, expected):
        raise UntrustedServer(
            f"the server at {address} has another certificate than expected: its fingerprint is sha256:{actual.hex()}"
        )
    pem = ssl.DER_cert_to_PEM_cert(der)
    # A second handshake, because the ssl module decodes only the certificates that it has verified.
    verified = _context(cert_file, key_file)
    verified.check_hostname = False
    verified.verify_mode = ssl.CERT_REQUIRED
    verified.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    verified.load_verify_locations(cadata=pem)
    with _handshake(address, verified, timeout_s) as connection:
        decoded = connection.getpeercert() or {}
    return PinnedCertificate(pem, _name_in(decoded) or address.host)


def _context(cert_file: str | None, key_file: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])  # gRPC servers refuse others
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    return context


def _handshake(address: Address, context: ssl.SSLContext, timeout_s: float) -> ssl.SSLSocket:
    try:
        connection = socket.create_connection((address.host, address.port), timeout_s)
        try:
            return context.wrap_socket(connection)
        except BaseException:
            connection.close()
            raise
    except ssl.SSLCertVerificationError as error:
        raise UntrustedServer(f"the certificate of {address} cannot be used: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Unavailable(f"cannot reach rtcagentd at {address}: no TLS there ({error.reason})") from error
    except OSError as error:
        raise Unavailable(f"cannot reach rtcagentd at {address}: {error.strerror or error}") from error


def _name_in(certificate: object) -> str:
    assert isinstance(certificate, dict)
    for kind in ("DNS", "IP Address"):
        for entry_kind, name in certificate.get("subjectAltName", ()):
            if entry_kind == kind:
                return str(name).replace("*", "agent")
    for group in certificate.get("subject", ()):
        for key, value in group:
            if key == "commonName":
                return str(value)
    return ""
