"""Reaching an agent: addresses, TLS by authority, fingerprint and client certificate, tokens."""

import hashlib
import ipaddress
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rtcagent_client import AsyncClient, Client, Unavailable, UntrustedServer, address

from tests.unit.fake_agent import FakeAgent


class Certificate:
    """A self-signed certificate in two PEM files."""

    def __init__(self, folder: Path, name: str, *names: x509.GeneralName) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.fingerprint = f"sha256:{hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()}"
        self.file, self.key_file = folder / f"{name}.pem", folder / f"{name}.key"
        self.file.write_bytes(self.pem)
        self.key_file.write_bytes(self.key)


@pytest.fixture(params=["dns", "ip", "common name alone"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Certificate:
    """Named as a server of the LAN is, which is not how these tests call it."""
    names: dict[str, list[x509.GeneralName]] = {
        "dns": [x509.DNSName("kiosk.lan")],
        "ip": [x509.IPAddress(ipaddress.ip_address("192.0.2.7"))],
        "common name alone": [],
    }
    return Certificate(tmp_path, "kiosk", *names[request.param])


@pytest.fixture
def tls_agent(certificate: Certificate) -> Iterator[FakeAgent]:
    with FakeAgent("127.0.0.1:0", grpc.ssl_server_credentials([(certificate.key, certificate.pem)])) as agent:
        yield agent


def test_addresses() -> None:
    assert address.parse("unix:/run/x.sock").target == "unix:/run/x.sock"
    assert address.parse("unix:///run/x.sock").path == "/run/x.sock"
    assert address.parse("kiosk:50051").target == "dns:///kiosk:50051"
    assert address.parse("[::1]:50051").target == "dns:///[::1]:50051"
    assert address.parse("[::1]:1").is_local
    assert address.parse("127.0.0.9:1").is_local
    assert not address.parse("kiosk:1").is_local
    for wrong in ("kiosk", "unix:relative.sock", "kiosk:0", "kiosk:70000", ":1", "http://x"):
        with pytest.raises(ValueError, match="unix:"):
            address.parse(wrong)


def test_the_default_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RTCAGENT_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert str(address.default()) == "unix:/run/rtcagent/control.sock"
    (tmp_path / "rtcagent").mkdir()
    (tmp_path / "rtcagent" / "control.sock").touch()
    assert str(address.default()) == f"unix:{tmp_path}/rtcagent/control.sock"
    monkeypatch.setenv("RTCAGENT_ADDRESS", "kiosk:1")
    assert str(address.default()) == "kiosk:1"


def test_probe_says_why_nobody_can_be_reached(tmp_path: Path) -> None:
    assert address.probe(address.parse(f"unix:{tmp_path}/no")) == "no such socket"
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
        listener.listen()
        assert address.probe(address.parse(f"unix:{dead}")) == ""
    assert address.probe(address.parse(f"unix:{dead}")) == "nobody listens there"


async def test_a_fingerprint_is_trusted(tls_agent: FakeAgent, certificate: Certificate) -> None:
    colons = ":".join(certificate.fingerprint[7:][at : at + 2] for at in range(0, 64, 2)).upper()
    for fingerprint in (certificate.fingerprint, colons):
        with Client.connect(tls_agent.address, server_fingerprint=fingerprint) as client:
            client.get_agent()
        async with AsyncClient.connect(tls_agent.address, server_fingerprint=fingerprint) as aclient:
            await aclient.get_agent()
    assert len(tls_agent.calls) == 4


async def test_another_fingerprint_is_not_trusted(tls_agent: FakeAgent, certificate: Certificate) -> None:
    other = "sha256:" + "0" * 64
    with pytest.raises(UntrustedServer, match=certificate.fingerprint):
        Client.connect(tls_agent.address, server_fingerprint=other)
    with pytest.raises(UntrustedServer):
        await AsyncClient.connect(tls_agent.address, server_fingerprint=other)
    with pytest.raises(ValueError, match="is no fingerprint"):
        Client.connect(tls_agent.address, server_fingerprint="sha256:12")
    assert not tls_agent.calls


def test_a_fingerprint_needs_tls_at_the_other_end() -> None:
    with FakeAgent("127.0.0.1:0") as agent, pytest.raises(Unavailable, match="no TLS there"):
        Client.connect(agent.address, server_fingerprint="sha256:" + "0" * 64)


def test_an_authority_is_trusted_and_another_is_not(tmp_path: Path) -> None:
    server = Certificate(tmp_path, "server", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    other = Certificate(tmp_path, "other", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    with FakeAgent("127.0.0.1:0", grpc.ssl_server_credentials([(server.key, server.pem)])) as agent:
        with Client.connect(agent.address, ca_file=server.file) as client:
            client.get_agent()
        with Client.connect(agent.address, ca_file=other.file) as client, pytest.raises(UntrustedServer):
            client.join_room("demo")  # at once: it is not repeated
        with Client.connect(agent.address) as client, pytest.raises(Unavailable, match="cannot reach rtcagentd"):
            client.get_agent()


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    server, own = Certificate(tmp_path, "server", x509.DNSName("kiosk")), Certificate(tmp_path, "own")
    credentials = grpc.ssl_server_credentials([(server.key, server.pem)], own.pem, require_client_auth=True)
    with FakeAgent("127.0.0.1:0", credentials) as agent:
        async with AsyncClient.connect(
            agent.address, server_fingerprint=server.fingerprint, cert_file=own.file, key_file=own.key_file
        ) as client:
            await client.get_agent()
        with (
            Client.connect(agent.address, server_fingerprint=server.fingerprint) as without,
            pytest.raises(Unavailable),
        ):
            without.get_agent()


async def test_the_token_goes_with_every_call(
    tls_agent: FakeAgent, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client.connect(tls_agent.address, token="secret", server_fingerprint=certificate.fingerprint) as client:
        client.get_agent()
        client.events().__enter__().close()
    monkeypatch.setenv("RTCAGENT_TOKEN", "from-environment")
    with FakeAgent("127.0.0.1:0") as plain:
        async with AsyncClient.connect(plain.address) as aclient:
            await aclient.get_agent()
        assert plain.calls[0].metadata["authorization"] == "Bearer from-environment"
    assert {call.metadata["authorization"] for call in tls_agent.calls} == {"Bearer secret"}


def test_arguments_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the clear"):
        Client.connect("192.0.2.1:1", token="secret")
    with pytest.raises(ValueError, match="go together"):
        Client.connect("kiosk:1", cert_file="x")
    with pytest.raises(ValueError, match="unix socket"):
        Client.connect("unix:/x", ca_file="x")
    with pytest.raises(ValueError, match="not both"):
        Client.connect("kiosk:1", ca_file="x", server_fingerprint="y")
    with pytest.raises(FileNotFoundError):
        Client.connect("kiosk:1", ca_file=tmp_path / "no.pem")
