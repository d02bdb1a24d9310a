"""A bare grpc.aio server that answers each call with a payload of a given size: the cost of gRPC itself.

A program: `python -m tests.bench.echo_server SOCKET BYTES`. Says `ready` when it listens.
"""

import asyncio
import sys

import grpc
import grpc.aio


async def main(socket: str, size: int) -> None:
    answer = bytes(size)

    async def echo(request: bytes, context: object) -> bytes:
        return answer

    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", {"Echo": method})])
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
