"""Certificates do their work in real gRPC connections; tokens are known by their hashes alone."""

import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from rtcagentd.access.certificates import Authority, Certificate, fingerprint, self_signed
from rtcagentd.access.tokens import TokenFile, TokenFileError, hash_token, new_token, token_line


async def _identity(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    del request
    names = context.auth_context().get("x509_common_name", ())
    return next(iter(names), b"nobody")


@asynccontextmanager
async def serving(certificate: Certificate, client_ca: Certificate | None = None) -> AsyncIterator[int]:
    """A gRPC server that says who calls; yields its port."""
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler("test.Who", {"Ami": grpc.unary_unary_rpc_method_handler(_identity)})
    server.add_generic_rpc_handlers((handler,))
    roots = client_ca.cert_pem if client_ca else None
    credentials = grpc.ssl_server_credentials(
        [(certificate.key_pem, certificate.cert_pem)], roots, require_client_auth=roots is not None
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def call(port: int, root: Certificate, client: Certificate | None = None) -> bytes:
    key, chain = (client.key_pem, client.cert_pem) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(root.cert_pem, key, chain)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Who/Ami")
        return await ask(b"", timeout=5)


async def test_self_signed_certificate_serves_those_who_know_it() -> None:
    certificate = self_signed(["127.0.0.1", "localhost"])
    async with serving(certificate) as port:
        assert await call(port, certificate) == b"nobody"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(port, self_signed(["127.0.0.1"]))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_for_another_address_is_refused() -> None:
    certificate = self_signed(["192.0.2.1"])
    async with serving(certificate) as port:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(port, certificate)


async def test_client_certificates_let_their_holders_in() -> None:
    authority, stranger = Authority.create("Lab"), Authority.create("Elsewhere")
    server = authority.issue_server(["127.0.0.1"])
    async with serving(server, authority.certificate) as port:
        again = Authority(authority.certificate)  # as loaded from its files
        assert await call(port, authority.certificate, again.issue_client("robot-7")) == b"robot-7"
        for client in (None, stranger.issue_client("robot-7")):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(port, authority.certificate, client)


async def test_a_server_certificate_is_no_client_certificate() -> None:
    authority = Authority.create("Lab")
    async with serving(authority.issue_server(["127.0.0.1"]), authority.certificate) as port:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(port, authority.certificate, authority.issue_server(["127.0.0.1"]))


def test_fingerprint_is_of_the_der_form() -> None:
    certificate = self_signed(["agent.example"])
    der = x509.load_pem_x509_certificate(certificate.cert_pem).public_bytes(serialization.Encoding.DER)
    assert certificate.fingerprint == fingerprint(der)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", certificate.fingerprint)


def test_long_names_fit() -> None:
    host = ".".join(["a" * 60] * 4)
    names = x509.load_pem_x509_certificate(self_signed([host]).cert_pem).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == [host]


def test_keys_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        self_signed(["localhost"]).write(tmp_path / "cert.pem", tmp_path / "key.pem")
        self_signed(["localhost"]).write(tmp_path / "cert.pem", tmp_path / "key.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def write_tokens(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tokens_are_known_by_their_hashes(tmp_path: Path) -> None:
    first, second = new_token(), new_token()
    text = f"# controllers\n\n{token_line('desk', first)}{token_line('robot@lab', second).strip()}  # spare\n"
    path = write_tokens(tmp_path / "tokens", text)
    tokens = TokenFile(path)
    assert first not in path.read_text()
    assert (tokens.identify(first), tokens.identify(second)) == ("desk", "robot@lab")
    assert tokens.identify("") is None
    assert tokens.identify(hash_token(first)) is None


def test_a_removed_line_revokes_its_token(tmp_path: Path) -> None:
    token = new_token()
    path = write_tokens(tmp_path / "tokens", token_line("desk", token))
    tokens = TokenFile(path)
    assert tokens.identify(token) == "desk"
    write_tokens(path, "")
    assert tokens.identify(token) is None
    path.unlink()
    with pytest.raises(TokenFileError, match="No such file"):
        tokens.identify(token)


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (token_line("desk", "x"), 0o640, "chmod 600"),
        (f"desk {'0' * 63}\n", 0o600, "line 1 is not"),
        (f"# a token itself\ndesk {new_token()}\n", 0o600, "line 2 is not"),
    ],
    ids=["readable by others", "short hash", "no hash"],
)
def test_unfit_token_files_are_refused(text: str, mode: int, complaint: str, tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "tokens", text, mode)
    with pytest.raises(TokenFileError, match=complaint):
        TokenFile(path)
