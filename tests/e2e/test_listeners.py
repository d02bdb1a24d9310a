"""TCP listeners: TLS with tokens, mutual TLS, plain on loopback; and everybody else stays outside."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, FailedPrecondition, RtcAgentError, Unauthenticated, Unavailable
from rtcagentd.access.certificates import Authority, Certificate
from rtcagentd.access.tokens import new_token, token_line

from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.ports import free_tcp_port


@dataclass
class Site:
    """A daemon with one listener of each kind, and what opens them."""

    daemon: Daemon
    folder: Path
    token: str
    token_file: Path
    authority: Authority
    fingerprint: str
    token_address: str
    mutual_address: str
    plain_address: str

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def identity(self, name: str, authority: Authority | None = None) -> dict[str, Any]:
        """A client certificate as arguments of connect()."""
        return written(self.folder, name, (authority or self.authority).issue_client(name))


def written(folder: Path, name: str, certificate: Certificate) -> dict[str, Any]:
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write(*paths)
    return {"cert_file": paths[0], "key_file": paths[1]}


@pytest_asyncio.fixture
async def site(make_daemon: MakeDaemon, tmp_path: Path) -> Site:
    authority = Authority.create("test authority")
    (tmp_path / "ca.pem").write_bytes(authority.certificate.cert_pem)
    server = authority.issue_server(["localhost", "127.0.0.1"])
    files = written(tmp_path, "server", server)
    token, token_file = new_token(), tmp_path / "tokens"
    token_file.touch(mode=0o600)
    token_file.write_text(token_line("ann", token))
    tls = {"cert": str(files["cert_file"]), "key": str(files["key_file"])}
    addresses = [f"localhost:{free_tcp_port()}" for _ in range(3)]
    daemon = await make_daemon(
        also_listen=[
            {"address": addresses[0], "tls": tls, "token_file": str(token_file)},
            {"address": addresses[1], "tls": {**tls, "client_ca": str(tmp_path / "ca.pem")}},
            {"address": addresses[2], "insecure": True},
        ]
    )
    return Site(daemon, tmp_path, token, token_file, authority, server.fingerprint, *addresses)


async def refused(kind: type[RtcAgentError], call: Callable[[], Awaitable[object]]) -> RtcAgentError:
    with pytest.raises(kind) as error:
        await call()
    return error.value


async def ask(address: str, **how: Any) -> str:
    """The agent's name, asked for once."""
    async with AsyncClient.connect(address, retry_s=0, timeout_s=5, **how) as client:
        return (await client.get_agent()).name


async def test_a_token_over_tls_names_who_gave_an_order(site: Site) -> None:
    async with AsyncClient.connect(site.token_address, token=site.token, ca_file=site.ca_file) as client:
        await client.set_slot("front", [ty.Slot.Match(serial="S1")])
        (slot,) = (await client.get_desired_state()).slots
        # a message of the largest size is read, else the agent could not say this of it
        await refused(FailedPrecondition, lambda: client.send_message("nowhere", bytes(16 << 20)))
    assert slot.order.controller.identity == "ann"
    assert "127.0.0.1" in slot.order.controller.address or "::1" in slot.order.controller.address


@pytest.mark.parametrize("method", ["Rooms/SendMessage", "Agent/GetState", "Agent/WatchEvents"])
async def test_nothing_is_read_of_a_request_without_a_token(site: Site, method: str) -> None:
    """The refusal comes though the request is yet to be sent: nobody unknown fills the agent's memory."""
    credentials = grpc.ssl_channel_credentials(site.ca_file.read_bytes())
    async with grpc.aio.secure_channel(site.token_address, credentials) as channel:
        sending: Any = channel.stream_unary(f"/rtcagent.v1.{method}")()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            async with asyncio.timeout(10):
                await sending
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_without_a_request_is_an_error(site: Site) -> None:
    credentials = grpc.ssl_channel_credentials(site.ca_file.read_bytes())
    metadata = (("authorization", f"Bearer {site.token}"),)
    async with grpc.aio.secure_channel(site.token_address, credentials) as channel:
        sending: Any = channel.stream_unary("/rtcagent.v1.Agent/GetState")(metadata=metadata)
        await sending.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await sending
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_no_token_a_wrong_one_and_a_revoked_one_stay_outside(site: Site) -> None:
    def call(token: str) -> Callable[[], Awaitable[object]]:
        return lambda: ask(site.token_address, token=token, ca_file=site.ca_file)

    assert (await refused(Unauthenticated, call(""))).reason == "TOKEN_MISSING"
    assert (await refused(Unauthenticated, call("x" * 43))).reason == "TOKEN_WRONG"
    assert await ask(site.token_address, token=site.token, ca_file=site.ca_file)
    site.token_file.write_text(token_line("ann", new_token()))
    assert (await refused(Unauthenticated, call(site.token))).reason == "TOKEN_WRONG"
    assert site.token not in site.daemon.log()


async def test_tls_is_needed_where_it_is_configured(site: Site) -> None:
    await refused(Unavailable, lambda: ask(site.token_address, token=site.token))


async def test_a_certificate_of_our_authority_opens_and_names(site: Site) -> None:
    how = site.identity("robot-7")
    async with AsyncClient.connect(site.mutual_address, ca_file=site.ca_file, **how) as client:
        await client.set_slot("front", [ty.Slot.Match(serial="S1")])
        (slot,) = (await client.get_desired_state()).slots
    assert slot.order.controller.identity == "robot-7"


async def test_no_certificate_or_one_of_strangers_stays_outside(site: Site) -> None:
    await refused(Unavailable, lambda: ask(site.mutual_address, ca_file=site.ca_file))
    how = site.identity("robot-8", Authority.create("strangers"))
    await refused(Unavailable, lambda: ask(site.mutual_address, ca_file=site.ca_file, **how))


async def test_plain_on_loopback_and_over_the_socket(site: Site) -> None:
    assert await ask(site.plain_address) == await ask(site.daemon.address)


async def test_the_socket_is_for_its_group_alone(site: Site) -> None:
    assert site.daemon.socket.stat().st_mode & 0o007 == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that is the point
async def test_old_tls_is_not_spoken(site: Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    host, _, port = site.token_address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as plain, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(plain)


async def test_reflection_and_health_answer_those_who_may_come_in(site: Site) -> None:
    async with grpc.aio.insecure_channel(site.daemon.address) as channel:
        for service in ("", "api", "engine"):
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="engine"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        call.cancel()
        assert {"rtcagent.v1.Agent", "rtcagent.v1.Rooms", "rtcagent.v1.Capture", "rtcagent.v1.Devices"} <= {
            service.name for service in answer.list_services_response.service
        }
    ca = site.ca_file.read_bytes()
    async with grpc.aio.secure_channel(site.token_address, grpc.ssl_channel_credentials(ca)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as outside:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert outside.value.code() == grpc.StatusCode.UNAUTHENTICATED
