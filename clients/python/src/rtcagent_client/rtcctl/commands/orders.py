"""What every order prints."""

from rtcagent.v1.types_pb2 import OrderResult, Outcome

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_object, enum_word

COLOURS = {
    Outcome.KIND_REACHED: "green",
    Outcome.KIND_WAITING: "yellow",
    Outcome.KIND_REFUSED: "red",
    Outcome.KIND_SUPERSEDED: "red",
}


def show_result(result: OrderResult, screen: Screen) -> int:
    """Print each outcome on a line, "room demo: WAITING: SERVER_UNREACHABLE no answer". Returns the exit code."""
    if screen.as_json:
        screen.document(result)
        return exits.of_result(result)
    for outcome in result.outcomes:
        word = screen.paint(enum_word(Outcome.Kind, outcome.kind), COLOURS.get(outcome.kind, "bold"))
        cause = f": {describe_cause(outcome.cause)}" if outcome.HasField("cause") else ""
        screen.line(f"{describe_object(outcome.object)}: {word}{cause}")
    if not result.outcomes:
        screen.line(f"stored; there is nothing to do (revision {result.revision})")
    return exits.of_result(result)
