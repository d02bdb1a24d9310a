"""A client of a later version: what this agent does not know is left alone, or refused as what it is: bad input."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import message_factory
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import bars
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.newer_version import UNKNOWN_VALUE, filled, with_unknown_fields

DEFECTS = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)
SERVICES = [service for module in (ag, rm, cap, dv) for service in module.DESCRIPTOR.services_by_name.values()]


@pytest.fixture
async def agent(make_daemon: MakeDaemon) -> Daemon:
    return await make_daemon()


async def call(agent: Daemon, service: str, method: Any, request: Any) -> grpc.StatusCode:
    """Make a call as any client in any language would; returns its status."""
    answer = message_factory.GetMessageClass(method.output_type)
    invoke: Any = agent.control.channel.unary_unary(
        f"/rtcagent.v1.{service}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    try:
        await invoke(request, timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_no_request_of_a_later_version_is_a_defect(agent: Daemon) -> None:
    pid = await agent.engine_pid()
    for service in SERVICES:
        for method in service.methods:
            if method.server_streaming or method.client_streaming or method.name == "ResetEngine":
                continue
            request = message_factory.GetMessageClass(method.input_type)
            for each in (filled(request), with_unknown_fields(request())):
                code = await call(agent, service.name, method, each)
                assert code not in DEFECTS, f"{method.full_name}: {code}\n{each}"
    assert await agent.engine_pid() == pid


async def test_unknown_fields_of_an_order_change_nothing_of_it(agent: Daemon) -> None:
    order = ty.OrderOptions(wait_ms=0)
    request = cap.StartVideoCaptureRequest(source_id="camera", config=bars(), order=order)
    answer = await agent.control.capture.StartVideoCapture(with_unknown_fields(request), timeout=20)
    assert answer.result.revision == 1
    (capture,) = (await agent.control.desired()).captures
    assert capture.config.output.width == 640


@pytest.mark.parametrize("field", ["rotation", "kind"])
async def test_a_value_that_is_not_known_is_refused_and_stores_nothing(agent: Daemon, field: str) -> None:
    config = bars()
    setattr(config, field, UNKNOWN_VALUE)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await agent.control.start_capture(config, source_id="camera", order=ty.OrderOptions(wait_ms=0))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not (await agent.control.desired()).captures
