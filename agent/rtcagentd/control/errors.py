"""Why an order cannot be taken. api/ turns these into gRPC statuses; nothing was stored when one is raised."""

from enum import Enum


class Code(Enum):
    """The gRPC status that an error stands for."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"


class OrderError(Exception):
    """An order or question that cannot be met. `reason` is stable, for programs; the text is for people."""

    def __init__(self, code: Code, reason: str, message: str, *, field: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field
        self.metadata = metadata


class OrderProblems(OrderError):
    """All that is wrong with an order of many objects, each with its place."""

    def __init__(self, code: Code, reason: str, message: str, fields: list[tuple[str, str]], **metadata: str) -> None:
        super().__init__(code, reason, message, **metadata)
        self.fields = fields


def invalid(field: str, reason: str, message: str, **metadata: str) -> OrderError:
    """A field that can never be right."""
    return OrderError(Code.INVALID_ARGUMENT, reason, message, field=field, **metadata)


def not_found(reason: str, message: str, **metadata: str) -> OrderError:
    """The thing that was named does not exist."""
    return OrderError(Code.NOT_FOUND, reason, message, **metadata)


def precondition(reason: str, message: str, **metadata: str) -> OrderError:
    """Possible, but not in the state that the agent is in."""
    return OrderError(Code.FAILED_PRECONDITION, reason, message, **metadata)


def unavailable(reason: str, message: str, **metadata: str) -> OrderError:
    """Not now; the same call may work later."""
    return OrderError(Code.UNAVAILABLE, reason, message, **metadata)
