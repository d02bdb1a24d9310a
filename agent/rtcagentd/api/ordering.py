"""What all orders have in common at the API: who, how long, once per request_id, and how long to wait for the
outcome.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc.aio
from google.protobuf.message import Message
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.access.guard import caller
from rtcagentd.control import checks
from rtcagentd.control.apply import DryRun
from rtcagentd.control.errors import OrderError, unavailable
from rtcagentd.control.ledger import Edit, Ledger, Order, Taken, digest_of
from rtcagentd.control.orders import Edits
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.store.faults import StoreError

DEFAULT_WAIT_MS = 5000
REPLY_MARGIN_S = 0.05


@dataclass(frozen=True)
class Later:
    """An edit that is yet to be made. Making it checks the order against the machine as it is just now, which is of no
    account where the order is a repeated one: its window may be closed by then.
    """

    make: Callable[[], Edits | Awaitable[Edits]]


class OrderDesk:
    """Takes one order after another: stores it, has it carried out, and says what became of it."""

    def __init__(self, ledger: Ledger, reconciler: Reconciler, outcomes: Outcomes) -> None:
        self._ledger = ledger
        self._reconciler = reconciler
        self._outcomes = outcomes
        self.on_answer: Callable[[str, ty.OrderResult | None], None] = lambda method, result: None  # None: an error

    async def take(
        self,
        request: Message,
        options: ty.OrderOptions,
        edits: Edits | Later,
        context: "grpc.aio.ServicerContext[Message, Message]",
        *,
        default_keep: ty.Keep.Kind.ValueType = ty.Keep.KIND_THIS_BOOT,
        in_room: bool = False,
    ) -> ty.OrderResult:
        """Store the order and wait for its outcome, as its options and the call's deadline say."""
        taken = await self.take_with_changes(
            request, options, edits, context, default_keep=default_keep, in_room=in_room
        )
        return taken[0]

    async def take_with_changes(
        self,
        request: Message,
        options: ty.OrderOptions,
        edits: Edits | Later,
        context: "grpc.aio.ServicerContext[Message, Message]",
        *,
        default_keep: ty.Keep.Kind.ValueType,
        in_room: bool = False,
    ) -> tuple[ty.OrderResult, Taken]:
        """As take, and tells what the order has changed."""
        method = request.DESCRIPTOR.name.removesuffix("Request")
        result = None
        try:
            result, taken = await self._take(method, request, options, edits, context, default_keep, in_room)
        finally:
            self.on_answer(method, result)
        return result, taken

    async def rehearse(
        self, request: Message, options: ty.OrderOptions, edits: Edits | Later, *, default_keep: ty.Keep.Kind.ValueType
    ) -> DryRun:
        """What an order would do whose edit ends in DryRun. Stores nothing, its request_id neither."""
        checks.options(options)
        keep = checks.keep(options.keep, default_keep)
        checks.keep_is_to_come(keep)
        order = Order(request.DESCRIPTOR.name.removesuffix("Request"), caller.get(), keep)
        try:
            await self._ledger.take(order, await _made(edits))
        except DryRun as done:
            return done
        except StoreError as error:
            raise unavailable("STORE_FAILED", f"the store does not work: {error}") from error
        raise AssertionError("an edit that is rehearsed ends in DryRun")

    async def _take(
        self,
        method: str,
        request: Message,
        options: ty.OrderOptions,
        edits: Edits | Later,
        context: "grpc.aio.ServicerContext[Message, Message]",
        default_keep: ty.Keep.Kind.ValueType,
        in_room: bool,
    ) -> tuple[ty.OrderResult, Taken]:
        checks.options(options)
        keep = checks.keep(options.keep, default_keep, in_room=in_room)
        order = Order(method, caller.get(), keep, options.request_id, _digest(method, request, keep))
        try:
            checks.keep_is_to_come(keep)
            edit = await _made(edits)
        except OrderError as error:
            if not options.request_id:
                raise
            edit = _refusal(error)  # which is the answer unless the order was taken before
        try:
            taken = await self._ledger.take(order, edit)
        except StoreError as error:
            raise unavailable("STORE_FAILED", f"the order was not stored: {error}") from error
        self._reconciler.retry_now(taken.objects)
        await self._reconciler.nothing_forbidden_is_sent()
        wait_s = (options.wait_ms if options.HasField("wait_ms") else DEFAULT_WAIT_MS) / 1000
        left_s = context.time_remaining()
        if left_s is not None:
            wait_s = min(wait_s, max(0.0, left_s - REPLY_MARGIN_S))
        return await self._outcomes.settle(taken, wait_s), taken


async def _made(edits: Edits | Later) -> Edits:
    if not isinstance(edits, Later):
        return edits
    made = edits.make()
    return await made if inspect.isawaitable(made) else made


def _refusal(error: OrderError) -> Edits:
    def refuse(_: Edit) -> None:
        raise error

    return refuse


def _digest(method: str, request: Message, keep: ty.Keep) -> bytes:
    """What an order asks for, whatever its request_id and the time that the caller waits."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("order")
    return digest_of(method, bare.SerializeToString(deterministic=True) + keep.SerializeToString(deterministic=True))
