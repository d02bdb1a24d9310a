"""Every exception of this package, and the one translation of gRPC errors into them."""

from collections.abc import Iterable
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2
from rtcagent.v1.agent_pb2 import Gap
from rtcagent.v1.state_pb2 import Position
from rtcagent.v1.types_pb2 import OrderResult, Outcome

from rtcagent_client.words import describe_object, enum_word

_DETAILS_KEY = "grpc-status-details-bin"


class RtcAgentError(Exception):
    """The agent answered a call with an error, or did not answer.

    Nothing was stored, except with DeadlineExceeded, Cancelled and Unavailable: then the outcome of an order is
    unknown, and the order may be repeated with the same `request_id`.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.reason = reason  # stable, for programs: "DEVICE_NOT_FOUND"; empty when the error is not the agent's own
        self.metadata = metadata or {}  # names the thing: {"device_id": "..."}
        self.fields = fields or {}  # wrong fields of the request, each with what is wrong


class InvalidArgument(RtcAgentError):
    """This can never work; `fields` says which fields are wrong."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(RtcAgentError):
    """There is no such thing."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(RtcAgentError):
    """There is such a thing already."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(RtcAgentError):
    """What the call needs is not so now."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class PermissionDenied(RtcAgentError):
    """This controller may not do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(RtcAgentError):
    """The agent wants a token or a client certificate, or does not know the given one."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhausted(RtcAgentError):
    """A limit is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Aborted(RtcAgentError):
    """Somebody else was faster."""

    code = grpc.StatusCode.ABORTED


class Unimplemented(RtcAgentError):
    """This agent has no such method; it is older than this client, or no agent."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Unavailable(RtcAgentError):
    """The agent cannot be reached, or (with a `reason`) cannot do this at the moment."""

    code = grpc.StatusCode.UNAVAILABLE


class UntrustedServer(Unavailable):
    """Whoever answers at the address is not the expected server. Never repeated."""


class DeadlineExceeded(RtcAgentError):
    """No answer in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(RtcAgentError):
    """The agent broke the call off."""

    code = grpc.StatusCode.CANCELLED


_BY_CODE: dict[grpc.StatusCode, type[RtcAgentError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        PermissionDenied,
        Unauthenticated,
        ResourceExhausted,
        Aborted,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
    )
}


class NotReached(Exception):
    """An order is stored and holds, but not all of it is so yet. `result` has the outcome of each object."""

    def __init__(self, result: OrderResult) -> None:
        self.result = result
        super().__init__("; ".join(describe_outcome(outcome) for outcome in result.outcomes if not is_reached(outcome)))


class Waiting(NotReached):
    """The agent goes on working on it for as long as the order holds."""


class Refused(NotReached):
    """It will not become so until something about it changes."""


class Superseded(NotReached):
    """A later order changed the same object."""


class EventGap(Exception):
    """Events were lost: the log no longer holds them, or was begun anew. Take the state anew with get_state().

    `position` is where the events go on. Iterating on goes on there.
    """

    def __init__(self, gap: Gap, position: Position) -> None:
        self.gap = gap
        self.position = position
        super().__init__(describe_gap(gap))


def is_reached(outcome: Outcome) -> bool:
    return outcome.kind == Outcome.KIND_REACHED


def check(result: OrderResult) -> OrderResult:
    """Return `result` if all of it is reached, else raise the gravest of Refused, Superseded, Waiting."""
    kinds = {outcome.kind for outcome in result.outcomes if not is_reached(outcome)}
    if not kinds:
        return result
    for kind, exception in (
        (Outcome.KIND_REFUSED, Refused),
        (Outcome.KIND_SUPERSEDED, Superseded),
        (Outcome.KIND_WAITING, Waiting),
    ):
        if kind in kinds:
            raise exception(result)
    raise NotReached(result)  # a kind that this version does not know


def describe_outcome(outcome: Outcome) -> str:
    """ "room demo: WAITING: SERVER_UNREACHABLE no answer from ws://..." """
    text = f"{describe_object(outcome.object)}: {enum_word(Outcome.Kind, outcome.kind)}"
    if outcome.HasField("cause"):
        text += f": {describe_cause(outcome.cause)}"
    return text


def describe_cause(cause: Any) -> str:
    """ "SERVER_UNREACHABLE no answer from ws://..." """
    from rtcagent.v1.types_pb2 import Reason

    word = enum_word(Reason, cause.reason)
    return f"{word} {cause.message}".strip()


def describe_gap(gap: Gap) -> str:
    if gap.next_seq:
        text = f"events {gap.first_missing_seq} to {gap.next_seq - 1} are lost"
    else:
        text = "the event log was begun anew; what came before is lost"
    return f"{text}: {gap.message}" if gap.message else text


class FailedCall(Protocol):
    """What grpc.RpcError (of calls) and grpc.aio.AioRpcError have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Any: ...


def from_call(failed: FailedCall, address: object) -> RtcAgentError:
    """Translate the error of a call to the agent at `address`."""
    code = failed.code()
    message = failed.details() or code.name
    reason, metadata, fields = _details(failed.trailing_metadata() or ())
    if not reason and code is grpc.StatusCode.UNAVAILABLE:
        message = f"cannot reach rtcagentd at {address}: {_last_error(message)}"
        if _is_about_trust(message):
            return UntrustedServer(message)
    elif not reason and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"no answer from rtcagentd at {address} in time"
    elif not reason and code is grpc.StatusCode.CANCELLED:
        message = f"rtcagentd at {address} broke the call off"
    kind = _BY_CODE.get(code, RtcAgentError)
    return kind(message, code=code, reason=reason, metadata=metadata, fields=fields)


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> tuple[str, dict[str, str], dict[str, str]]:
    reason = ""
    metadata: dict[str, str] = {}
    fields: dict[str, str] = {}
    for key, value in trailing:
        if key != _DETAILS_KEY or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(info):
                reason = info.reason
                metadata.update(info.metadata)
            elif detail.Unpack(bad):
                fields.update({violation.field: violation.description for violation in bad.field_violations})
    return reason, metadata, fields


def _last_error(details: str) -> str:
    return details.rpartition("last error: ")[2].removeprefix("UNKNOWN: ").removeprefix("UNAVAILABLE: ")


def _is_about_trust(details: str) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details
