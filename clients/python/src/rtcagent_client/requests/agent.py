"""The calls of the service Agent. WatchEvents is in rtcagent_client.events."""

from rtcagent.v1.agent_pb2 import (
    GetAgentRequest,
    GetAgentResponse,
    GetDesiredStateRequest,
    GetStateRequest,
    GetStateResponse,
    ResetEngineRequest,
)
from rtcagent.v1.state_pb2 import DesiredState, EngineStatus

from rtcagent_client.requests.call import Call

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


def reset_engine() -> Call[EngineStatus]:
    """Destroy the native engine and create it anew; every order is applied again. Takes up to 30 s.

    Raises Unavailable when the new engine does not start.
    """
    return Call("agent", "ResetEngine", ResetEngineRequest(), lambda response: response.engine, answer_s=_RESET_S)
