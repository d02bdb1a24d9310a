"""Looks at the clock and the room server: is it there, does it take our key, and do the clocks agree."""

import ctypes
import http.client
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import jwt

from rtcagentd.config import Config
from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Processes
from rtcagentd.supervise.room_server_files import load_keys

ANSWER_S = 5.0
TOKEN_TOLERANCE_S = 30.0  # beyond it tokens are refused, sooner or later
CLOCK_NOTE_S = 3.0
TIME_ERROR = 5  # of adjtimex: the clock is not synchronised
SERVER = "room server"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    date: str
    asked_at: float
    took_s: float


def check(config: Config, processes: Processes) -> Iterator[Finding]:
    """The clock by itself, then the room server and its clock."""
    yield _synchronised()
    url, key, secret = "", "", ""
    if config.embedded_server is not None:
        binary = config.embedded_server.binary
        if not os.access(binary, os.X_OK):
            yield problem(SERVER, f"{binary} is no program", "make build, or correct embedded_server.binary")
            return
        if processes.daemon is None:
            yield ok(SERVER, f"{binary} is there; it runs with the daemon")
            return
        url = f"ws://127.0.0.1:{config.embedded_server.port}"
        try:
            keys_file = config.state_dir / "room-server-keys"
            if keys_file.exists():  # load_keys would make them, as another user perhaps
                keys = load_keys(keys_file)
                key, secret = keys.api_key, keys.api_secret
        except (OSError, ValueError) as error:
            yield note(SERVER, f"its keys cannot be read, so that they are not tried: {error}", "run this as root")
    elif config.room_server is not None:
        url, key = config.room_server.url, config.room_server.api_key
        secret_file = config.room_server.api_secret_file
        try:
            secret = secret_file.read_text().strip() if secret_file is not None else ""
        except OSError as error:
            yield note(SERVER, f"its key cannot be read, so that it is not tried: {error.strerror}", "run this as root")
    else:
        advice = "set [embedded_server] or [room_server], or name a server and a token with each order"
        yield note(SERVER, "none is configured", advice)
        return
    yield from _server(url, key, secret)


def _server(url: str, key: str, secret: str) -> Iterator[Finding]:
    try:
        answer = _ask(url, key, secret)
    except ssl.SSLError as error:
        yield problem(
            SERVER, f"{url}: its certificate is not trusted: {error}", "give it a certificate of a known authority"
        )
        return
    except (OSError, http.client.HTTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield problem(SERVER, f"{url} does not answer: {text}", "start it, or look at name, route and firewall")
        return
    if not secret:
        yield ok(SERVER, f"{url} answers, in {answer.took_s * 1000:.0f} ms; there is no key to try")
    elif answer.status == http.HTTPStatus.OK:
        yield ok(SERVER, f"{url} answers, in {answer.took_s * 1000:.0f} ms, and takes our key {key}")
    elif answer.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        advice = "compare room_server.api_key and the secret with those of the server, and its clock with ours"
        yield problem(SERVER, f"{url} refuses our key {key}", advice)
    else:
        yield note(
            SERVER, f"{url} answers with status {answer.status}: is it a LiveKit server?", "correct room_server.url"
        )
    yield from _skew(answer)


def _ask(url: str, key: str, secret: str) -> Answer:
    """A question that changes nothing: which rooms there are; without a key, whether anybody is there."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "wss" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_S)
    path, now = parts.path.rstrip("/"), time.time()
    try:
        if secret:
            # valid long before and after now, so that the clocks are no reason to refuse it: they are compared apart
            claims = {"iss": key, "nbf": int(now) - 86_400, "exp": int(now) + 86_400, "video": {"roomList": True}}
            headers = {
                "Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}",
                "Content-Type": "application/json",
            }
            connection.request("POST", f"{path}/twirp/livekit.RoomService/ListRooms", "{}", headers)
        else:
            connection.request("GET", path or "/")
        asked_at = time.time()
        response = connection.getresponse()
        response.read()
        return Answer(response.status, response.headers.get("Date", ""), asked_at, time.time() - now)
    finally:
        connection.close()


def _skew(answer: Answer) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.date).timestamp()
    except (ValueError, TypeError):
        return  # it does not tell
    ahead_s = answer.asked_at - theirs - 0.5  # the date is cut to whole seconds
    where = "ahead of" if ahead_s > 0 else "behind"
    text = f"this machine's clock is {abs(ahead_s):.0f} s {where} the room server's"
    advice = "set it: timedatectl set-ntp true, or the server's"
    if abs(ahead_s) > TOKEN_TOLERANCE_S:
        yield problem("clock", f"{text}, which breaks room tokens", advice)
    elif abs(ahead_s) > CLOCK_NOTE_S:
        yield note("clock", text, advice)
    else:
        yield ok("clock", "it agrees with the room server's")


def _synchronised() -> Finding:
    is_so = _asked_timedatectl()
    if is_so is None:
        is_so = _asked_kernel()
    if is_so:
        return ok("clock", "it is synchronised")
    advice = "timedatectl set-ntp true, or install chrony: room tokens are void when the clock is wrong"
    return note("clock", "nothing says that it is synchronised", advice)


def _asked_timedatectl() -> bool | None:
    if shutil.which("timedatectl") is None:
        return None
    try:
        command = ["timedatectl", "show", "--property", "NTPSynchronized", "--value"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() == "yes" if said.returncode == 0 else None


def _asked_kernel() -> bool:
    buffer = ctypes.create_string_buffer(256)  # struct timex is 208 bytes; modes 0 changes nothing
    return int(ctypes.CDLL(None).adjtimex(buffer)) not in (TIME_ERROR, -1)
