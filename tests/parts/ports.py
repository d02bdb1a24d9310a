"""Free ports of the loopback interface, as the kernel gives them."""

import socket


def free_ports(*kinds: socket.SocketKind) -> list[int]:
    """One free port for each kind, all different."""
    with_sockets = [socket.socket(socket.AF_INET, kind) for kind in kinds]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()


def free_tcp_port() -> int:
    return free_ports(socket.SOCK_STREAM)[0]
