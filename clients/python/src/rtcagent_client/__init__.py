"""Client of rtcagent: lets programs put a Linux machine's camera, microphone and screen into RTC rooms.

AsyncClient is for asyncio, Client for everything else; both have the same methods. Messages and enums are in
rtcagent.v1.
"""

from rtcagent_client import inputs, keep
from rtcagent_client.aio import AsyncClient, AsyncEvents
from rtcagent_client.blocking import Client, Events
from rtcagent_client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    EventGap,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotReached,
    PermissionDenied,
    Refused,
    ResourceExhausted,
    RtcAgentError,
    Superseded,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UntrustedServer,
    Waiting,
)
from rtcagent_client.live import AsyncLive, Live
from rtcagent_client.requests.devices import device_match

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncEvents",
    "AsyncLive",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "EventGap",
    "Events",
    "FailedPrecondition",
    "InvalidArgument",
    "Live",
    "NotFound",
    "NotReached",
    "PermissionDenied",
    "Refused",
    "ResourceExhausted",
    "RtcAgentError",
    "Superseded",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UntrustedServer",
    "Waiting",
    "device_match",
    "inputs",
    "keep",
]
