"""Where the agent is: the forms of its address, the default, and the quick check whether anybody listens there."""

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

SYSTEM_SOCKET = "/run/rtcagent/control.sock"
ADDRESS_VARIABLE = "RTCAGENT_ADDRESS"


@dataclass(frozen=True, slots=True)
class Address:
    """One listener of an agent: a unix socket (`path`), or `host` and `port`."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.text

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    @property
    def is_local(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        if self.is_unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def target(self) -> str:
        """The address as gRPC wants it."""
        if self.is_unix:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"dns:///{host}:{self.port}"


def parse(text: str) -> Address:
    """Read "unix:/path/control.sock", "host:port" or "[ipv6]:port". ValueError otherwise."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path.startswith("///"):  # unix:///path, as gRPC writes it
            path = path[2:]
        if not path.startswith("/"):
            raise ValueError(f"{text!r}: a unix socket is written unix:/absolute/path")
        return Address(text=text, path=path)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is neither unix:/path/control.sock nor host:port")
    return Address(text=text, host=host, port=int(port))


def default() -> Address:
    """$RTCAGENT_ADDRESS, else the socket of this session's agent where there is one, else that of the machine's."""
    if text := os.environ.get(ADDRESS_VARIABLE):
        return parse(text)
    if runtime_dir := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime_dir) / "rtcagent" / "control.sock"
        if path.exists():
            return parse(f"unix:{path}")
    return parse(f"unix:{SYSTEM_SOCKET}")


def probe(address: Address, timeout_s: float = 3.0) -> str:
    """Connect and hang up again. Returns why nobody can be reached there, in a few words; empty: somebody listens."""
    try:
        if address.is_unix:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_s)
                connection.connect(address.path)
        else:
            socket.create_connection((address.host, address.port), timeout_s).close()
    except FileNotFoundError:
        return "no such socket"
    except ConnectionRefusedError:
        return "nobody listens there"
    except PermissionError:
        return "no permission to open the socket"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except socket.gaierror as error:
        return f"the name {address.host!r} cannot be resolved ({error.strerror})"
    except OSError as error:
        return error.strerror or str(error)
    return ""
