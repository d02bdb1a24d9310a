"""The connection to an engine that is not quick: its socket comes late, and so does its first answer."""

import asyncio
import contextlib
from pathlib import Path

import grpc
import grpc.aio
from rtcagentd.supervise.engine_session import _own_connection

ANSWER_S = 0.4  # several times what gRPC would wait by its back-off
SOCKET_S = 0.3


async def test_a_slow_engine_is_waited_for(tmp_path: Path) -> None:
    served, slow = tmp_path / "served", tmp_path / "slow"

    async def answer(request: bytes, context: object) -> bytes:
        return b"here"

    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Ask": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Engine", methods),))
    server.add_insecure_port(f"unix:{served}")
    await server.start()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(ANSWER_S)
        there_reader, there_writer = await asyncio.open_unix_connection(served)
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    async with grpc.aio.insecure_channel(f"unix:{slow}", _own_connection(0)) as channel:
        stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Engine/Ask")
        asked = stub(b"", timeout=30, wait_for_ready=True)
        await asyncio.sleep(SOCKET_S)
        relaying = await asyncio.start_unix_server(relay, slow)
        assert await asked == b"here"
    relaying.close()
    await server.stop(None)
