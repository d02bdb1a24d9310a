"""What both clients carry out: one call, as data."""

import inspect
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message
from rtcagent.v1.types_pb2 import Keep, OrderOptions, OrderResult

from rtcagent_client import errors

R = TypeVar("R")

DEFAULT_WAIT_MS = 5000  # the agent's
ANSWER_S = 10.0  # within which the agent answers what it need not wait for


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One call: `service` and `method` as in the .proto, the request, and how to make the result of the response."""

    service: str
    method: str
    request: Message
    result: Callable[[Any], R]
    is_order: bool = False  # has a request_id: may be repeated
    answer_s: float = ANSWER_S  # how long one attempt may take


class _HasResult(Protocol):
    @property
    def result(self) -> OrderResult: ...


def order_options(wait_ms: int | None, keep: Keep | None, request_id: str | None) -> OrderOptions:
    """Every order gets a request_id, so that it can be repeated after a lost answer."""
    return OrderOptions(request_id=request_id or uuid.uuid4().hex, wait_ms=wait_ms, keep=keep)


def order_call(service: str, method: str, request: Message, *, wait_ms: int | None, check: bool) -> Call[OrderResult]:
    def result(response: _HasResult) -> OrderResult:
        return errors.check(response.result) if check else response.result

    wait_s = (DEFAULT_WAIT_MS if wait_ms is None else wait_ms) / 1000
    return Call(service, method, request, result, is_order=True, answer_s=wait_s + ANSWER_S)


def method_signature(build: Callable[..., Call[Any]]) -> inspect.Signature:
    """The signature of the client method that is made of `build`: with self, and with the result of the call."""
    signature = inspect.signature(build)
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    (result,) = typing.get_args(signature.return_annotation)
    return signature.replace(parameters=[self, *signature.parameters.values()], return_annotation=result)
