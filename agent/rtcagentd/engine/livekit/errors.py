"""Translates what the LiveKit SDK and the room server say into our reasons. The only place that knows their wording."""

import re

from livekit import rtc
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.logs import redact

_CLIENT_ERROR = re.compile(r"client error: (\d{3})[^-]*- ?(.*)", re.DOTALL)
_TOKEN_IN_TEXT = re.compile(r"invalid token: [^,]*, error: ")
_DisconnectReason = rtc.DisconnectReason

_ROOM_ENDED: dict[int, tuple[types.Reason.ValueType, str]] = {
    _DisconnectReason.DUPLICATE_IDENTITY: (
        types.REASON_DUPLICATE_USER,
        "another participant joined with this agent's user_id and took its place; join with another user_id",
    ),
    _DisconnectReason.PARTICIPANT_REMOVED: (types.REASON_KICKED_OUT, "was removed from the room by its administrator"),
    _DisconnectReason.ROOM_DELETED: (types.REASON_ROOM_CLOSED, "the room was deleted"),
    _DisconnectReason.ROOM_CLOSED: (types.REASON_ROOM_CLOSED, "the room was closed by the server"),
    _DisconnectReason.SERVER_SHUTDOWN: (types.REASON_SERVER_UNREACHABLE, "the room server is shutting down"),
    _DisconnectReason.STATE_MISMATCH: (types.REASON_NETWORK_LOST, "the room server no longer knew this connection"),
    _DisconnectReason.JOIN_FAILURE: (types.REASON_SERVER_ERROR, "the connection for media could not be made"),
    _DisconnectReason.MIGRATION: (types.REASON_SERVER_ERROR, "the room moves to another server"),
    _DisconnectReason.SIGNAL_CLOSE: (types.REASON_NETWORK_LOST, "the connection to the room server broke"),
    _DisconnectReason.CONNECTION_TIMEOUT: (types.REASON_NETWORK_LOST, "the connection to the room server timed out"),
    _DisconnectReason.MEDIA_FAILURE: (types.REASON_NETWORK_LOST, "the connection for media broke"),
}

_USER_LEFT: dict[int, tuple[types.Reason.ValueType, str]] = {
    _DisconnectReason.CLIENT_INITIATED: (types.REASON_USER_LEFT, "left the room"),
    _DisconnectReason.DUPLICATE_IDENTITY: (types.REASON_DUPLICATE_USER, "joined again from elsewhere"),
    _DisconnectReason.PARTICIPANT_REMOVED: (types.REASON_KICKED_OUT, "was removed from the room"),
    _DisconnectReason.ROOM_DELETED: (types.REASON_ROOM_CLOSED, "the room was deleted"),
    _DisconnectReason.ROOM_CLOSED: (types.REASON_ROOM_CLOSED, "the room was closed"),
}


def join_error(text: str, server_url: str) -> EngineError:
    """Why connecting to a room failed."""
    server = redact(server_url)
    if match := _CLIENT_ERROR.search(text):
        return _http_error(int(match[1]), redact(_TOKEN_IN_TEXT.sub("", match[2].strip())), server)
    if "failed to parse the url" in text or "InvalidUri" in text:
        why = text.rpartition("url: ")[2]
        return EngineError(types.REASON_URL_INVALID, f"{server} is not the address of a room server: {redact(why)}")
    if "IO error" in text or "transport connection error" in text:
        return EngineError(types.REASON_SERVER_UNREACHABLE, f"{server} cannot be reached: {redact(_last_part(text))}")
    if "timeout" in text.lower() or "timed out" in text.lower():
        return EngineError(types.REASON_TIMEOUT, f"{server} did not answer in time: {redact(_last_part(text))}")
    return EngineError(types.REASON_SERVER_ERROR, f"joining through {server} failed: {redact(text)}")


def room_ended(reason: int) -> EngineError:
    """Why the agent is out of a room. Without a known reason the SDK has given up restoring the connection."""
    known = _ROOM_ENDED.get(reason)
    if known is None:
        return EngineError(types.REASON_SERVER_UNREACHABLE, "the connection to the room server could not be restored")
    return EngineError(*known)


def user_left(reason: int | None) -> types.Cause:
    """Why another user is out of a room."""
    known = _USER_LEFT.get(reason or 0, (types.REASON_USER_DROPPED, "the server saw no life from the user any more"))
    return types.Cause(reason=known[0], message=known[1])


def publish_error(text: str) -> EngineError:
    """Why a track was not published."""
    lower = text.lower()
    if "permission" in lower or "not allowed" in lower:
        return EngineError(types.REASON_NO_PERMISSION, f"the room does not let this user publish: {redact(text)}")
    if "timeout" in lower or "timed out" in lower:
        return EngineError(types.REASON_TIMEOUT, f"the room server did not take the stream in time: {redact(text)}")
    return EngineError(types.REASON_SERVER_ERROR, f"publishing failed: {redact(text)}")


def send_error(text: str) -> EngineError:
    """Why a message was not sent."""
    if "permission" in text.lower() or "not allowed" in text.lower():
        return EngineError(types.REASON_NO_PERMISSION, f"the room does not let this user send messages: {redact(text)}")
    return EngineError(types.REASON_SERVER_ERROR, f"the message was not sent: {redact(text)}")


def subscription_error(text: str) -> EngineError:
    """Why a stream of another user was not received."""
    if "permission" in text.lower() or "not allowed" in text.lower():
        return EngineError(types.REASON_NO_PERMISSION, f"the room does not let this user subscribe: {redact(text)}")
    return EngineError(types.REASON_SERVER_ERROR, f"subscribing failed: {redact(text)}")


def _http_error(status: int, text: str, server: str) -> EngineError:
    if status in (401, 403):
        return EngineError(types.REASON_TOKEN_REJECTED, f"{server} refused the token: {text}; give a new one")
    if status == 404 and "page not found" in text:
        # Not for good: a proxy answers so while the room server behind it is away.
        return EngineError(types.REASON_URL_INVALID, f"{server} is no room server (404)", permanent=False)
    if status == 404:
        return EngineError(types.REASON_ROOM_NOT_FOUND, f"{server} does not have the room: {text}")
    if status == 429:
        return EngineError(types.REASON_LIMIT_REACHED, f"{server} takes no more participants now: {text}")
    return EngineError(types.REASON_SERVER_ERROR, f"{server} answered {status}: {text}")


def _last_part(text: str) -> str:
    return text.rpartition("error: ")[2]
