"""The calls of the service Agent. WatchEvents is in rtcagent_client.events."""

from collections.abc import Iterable
from typing import Literal

from google.protobuf.field_mask_pb2 import FieldMask
from rtcagent.v1.agent_pb2 import (
    ApplyStateRequest,
    ApplyStateResponse,
    GetAgentRequest,
    GetAgentResponse,
    GetDesiredStateRequest,
    GetStateRequest,
    GetStateResponse,
    ResetEngineRequest,
)
from rtcagent.v1.state_pb2 import DesiredState, EngineStatus
from rtcagent.v1.types_pb2 import Keep

from rtcagent_client import errors
from rtcagent_client.requests.call import ANSWER_S, DEFAULT_WAIT_MS, Call, order_options

PartName = Literal[
    "rooms", "captures", "streams", "subscriptions", "slots", "playback", "remote_volumes", "audio_report"
]

_RESET_S = 40.0  # the agent gives the new engine 30 s


def get_agent() -> Call[GetAgentResponse]:
    """What the agent is and can do: name, version, engine, capabilities and limits."""
    return Call("agent", "GetAgent", GetAgentRequest(), lambda response: response)


def get_state() -> Call[GetStateResponse]:
    """Desired and reported state, the differences between them with their reasons, and the position in the event log.

    events(after=state.position) goes on from there without a hole.
    """
    return Call("agent", "GetState", GetStateRequest(), lambda response: response)


def get_desired_state() -> Call[DesiredState]:
    """What controllers asked for."""
    return Call("agent", "GetDesiredState", GetDesiredStateRequest(), lambda response: response.desired)


def apply_state(
    desired: DesiredState,
    parts: Iterable[PartName],
    *,
    if_revision: int = 0,
    dry_run: bool = False,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[ApplyStateResponse]:
    """Replace whole lists of the desired state in one step: those that `parts` names.

    What is not in them any more is removed. A room without a token keeps the one that it has. `if_revision`: only when
    the state is at it (else Aborted); `dry_run`: change nothing, and say what would be. Holds for ever unless `keep`
    says otherwise. InvalidArgument has everything that is wrong in `fields`. See rtcagent_client.documents for files.
    """
    request = ApplyStateRequest(
        desired=desired,
        field_mask=FieldMask(paths=list(parts)),
        if_revision=if_revision,
        dry_run=dry_run,
        order=order_options(wait_ms, keep, request_id),
    )

    def result(response: ApplyStateResponse) -> ApplyStateResponse:
        if check:
            errors.check(response.result)
        return response

    wait_s = (DEFAULT_WAIT_MS if wait_ms is None else wait_ms) / 1000
    return Call("agent", "ApplyState", request, result, is_order=True, answer_s=wait_s + ANSWER_S)


def reset_engine() -> Call[EngineStatus]:
    """Destroy the native engine and create it anew; every order is applied again. Takes up to 30 s.

    Raises Unavailable when the new engine does not start.
    """
    return Call("agent", "ResetEngine", ResetEngineRequest(), lambda response: response.engine, answer_s=_RESET_S)
