"""Finds the address by which other machines reach this one."""

import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 0x1
# bridges and pairs of containers and virtual machines: other machines are rarely behind them
_VIRTUAL = ("docker", "br-", "veth", "virbr", "lxc", "cni")


def reachable_address() -> str | None:
    """The address that packets to the default route leave from; without such a route, the first global IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks the kernel for the route
            return str(probe.getsockname()[0])
        except OSError:
            pass  # no default route: a lab network, or a network namespace
    found = interface_addresses()
    physical = [address for name, address in found if not name.startswith(_VIRTUAL)]
    return next(iter(physical + [address for _, address in found]), None)


def interface_addresses() -> list[tuple[str, str]]:
    """(interface, its first IPv4 address) of those that are up, without loopback and link-local addresses."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            try:
                flags = struct.unpack_from("H", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)[0]
                address = socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24])
            except OSError:  # it has no IPv4 address, or has just gone
                continue
            if flags & _IFF_UP and not address.startswith(("127.", "169.254.")):
                found.append((name, address))
    return found


def resolve(host: str) -> str:
    """The IP address of a host; OSError when it has none."""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
