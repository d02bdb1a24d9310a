"""A network between agent and room server that can be cut in its middle: two namespaces, the second one a router.

Agent's namespace -- router's namespace -- here, where room server and listener run. The router drops packets without a
word, so that nobody is told of an outage by their own interface, by an ICMP message or by a closed connection.
"""

import contextlib
import itertools
import os
import subprocess
from typing import Literal

_numbers = itertools.count()
_SUBNETS = 16_384  # of four addresses each

_Drop = Literal["all", "udp"]


class CutNetwork:
    """Needs root. `namespace` is where the agent runs, `server_host` the address for the room server."""

    def __init__(self) -> None:
        # Test runs on the same machine must not share a subnet, and their pids differ.
        number = next(_numbers)
        subnet = (os.getpid() + 97 * number) % _SUBNETS * 4
        self._near, self._far = (f"198.{net}.{subnet // 256}" for net in (19, 18))
        self._first = subnet % 256
        self._id = f"{os.getpid()}x{number}"
        self.namespace = f"rtcagent-{self._id}-a"
        self._router = f"rtcagent-{self._id}-r"
        self._here = f"rh{self._id}"[-15:]
        self.server_host = f"{self._far}.{self._first + 1}"
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> "CutNetwork":
        with contextlib.ExitStack() as undo:
            for name in (self.namespace, self._router):
                ip("netns", "add", name)
                undo.callback(ip, "netns", "del", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("link", "add", "far", "netns", self._router, "type", "veth", "peer", "name", self._here)
            ip(
                "link",
                "add",
                "near",
                "netns",
                self._router,
                "type",
                "veth",
                "peer",
                "name",
                "up0",
                "netns",
                self.namespace,
            )
            router_far, router_near = f"{self._far}.{self._first + 2}", f"{self._near}.{self._first + 2}"
            ip("addr", "add", f"{self.server_host}/30", "dev", self._here)
            ip("link", "set", self._here, "up")
            for device, address in (("far", router_far), ("near", router_near)):
                ip("-n", self._router, "addr", "add", f"{address}/30", "dev", device)
                ip("-n", self._router, "link", "set", device, "up")
            ip("-n", self.namespace, "addr", "add", f"{self._near}.{self._first + 1}/30", "dev", "up0")
            ip("-n", self.namespace, "link", "set", "up0", "up")
            ip("-n", self.namespace, "route", "add", "default", "via", router_near)
            ip("route", "add", f"{self._near}.{self._first}/30", "via", router_far)
            ip("netns", "exec", self._router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def interface(self) -> str:
        """The interface that `server_host` is on."""
        return self._here

    def cut(self, what: _Drop = "all") -> None:
        """From now on the router drops every packet, or those of UDP."""
        ip("-n", self._router, "rule", "add", "pref", "10", *_selector(what), "blackhole")

    def mend(self, what: _Drop = "all") -> None:
        ip("-n", self._router, "rule", "del", "pref", "10", *_selector(what), "blackhole")


def ip(*arguments: str) -> str:
    """Runs ip(8)."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20).stdout


def _selector(what: _Drop) -> list[str]:
    return ["ipproto", "udp"] if what == "udp" else []
