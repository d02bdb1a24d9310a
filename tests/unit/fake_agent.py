"""An agent that only answers.

For what the clients do about lost answers, errors and gaps, which no real agent gives at will. What it is asked is kept
in `calls`; what it answers is put into `answers`.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from rtcagent.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    capture_pb2,
    capture_pb2_grpc,
    devices_pb2,
    devices_pb2_grpc,
    messages_pb2,
    rooms_pb2,
    rooms_pb2_grpc,
    statistics_pb2,
)
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

SERVICES: list[ServiceDescriptor] = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in ((agent_pb2, "Agent"), (rooms_pb2, "Rooms"), (capture_pb2, "Capture"), (devices_pb2, "Devices"))
]
METHODS = {method.name: method for service in SERVICES for method in service.methods}
LOG_ID = "log-1"


@dataclass
class Received:
    """One call as it came."""

    method: str
    request: Any
    metadata: dict[str, str]


class Failure:
    """An error with the details that the agent puts beside it."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str = "",
        reason: str = "",
        metadata: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.details: list[Message] = []
        if reason:
            self.details.append(error_details_pb2.ErrorInfo(domain="rtcagent", reason=reason, metadata=metadata or {}))
        if fields:
            bad = error_details_pb2.BadRequest()
            for field, description in fields.items():
                bad.field_violations.add(field=field, description=description)
            self.details.append(bad)

    def end(self, context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self.details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        if self.details:
            context.abort_with_status(rpc_status.to_status(status))
        context.abort(self.code, self.message)


class FakeAgent:
    """Serves all services on `address`. Use with `with`."""

    def __init__(self, address: str, credentials: grpc.ServerCredentials | None = None) -> None:
        self.calls: list[Received] = []
        self.answers: defaultdict[str, deque[Message | Failure | Callable[[Any], Message]]] = defaultdict(deque)
        self.events: list[ev.Event] = []
        self.log_id = LOG_ID
        self.first_seq = 1  # older ones are no longer held
        self.cut_after: deque[int] = deque()  # of each next stream: lost after so many events
        self.cuts = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        for add in (
            agent_pb2_grpc.add_AgentServicer_to_server,
            rooms_pb2_grpc.add_RoomsServicer_to_server,
            capture_pb2_grpc.add_CaptureServicer_to_server,
            devices_pb2_grpc.add_DevicesServicer_to_server,
        ):
            add(self, self._server)  # type: ignore[arg-type]
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        self.address = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    def __enter__(self) -> "FakeAgent":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.stop(0).wait()

    def requests(self, method: str) -> list[Any]:
        return [call.request for call in self.calls if call.method == method]

    def put_events(self, count: int) -> None:
        """Append events of changing types and rooms."""
        with self._changed:
            for _ in range(count):
                seq = len(self.events) + 1
                event = ev.Event(seq=seq, room_id="demo" if seq % 2 else "lab")
                if seq % 3:
                    event.user_left.room_id = event.room_id
                else:
                    event.first_frame_sent.room_id = event.room_id
                self.events.append(event)
            self._changed.notify_all()

    def cut_streams(self) -> None:
        """Lose the connection of every watcher."""
        with self._changed:
            self.cuts += 1
            self._changed.notify_all()

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self._receive(name, request, context)
            return self._answer(name, request, context)

        return answer

    def GetState(self, request: Any, context: grpc.ServicerContext) -> Message:
        self._receive("GetState", request, context)
        answer = self._answer("GetState", request, context)
        assert isinstance(answer, agent_pb2.GetStateResponse)
        if not answer.HasField("position"):
            answer.position.CopyFrom(st.Position(log_id=self.log_id, seq=len(self.events)))
        return answer

    def WatchEvents(self, request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
        self._receive("WatchEvents", request, context)
        if self.answers["WatchEvents"]:
            for answer in self.answers["WatchEvents"].popleft():  # type: ignore[union-attr]
                if isinstance(answer, Failure):
                    answer.end(context)
                yield answer
            return
        cuts, left = self.cuts, self.cut_after.popleft() if self.cut_after else None
        seq = request.after.seq if request.HasField("after") else len(self.events)
        yield agent_pb2.WatchEventsResponse(log_id=self.log_id, seq=seq)
        if seq + 1 < self.first_seq:
            gap = agent_pb2.Gap(first_missing_seq=seq + 1, next_seq=self.first_seq, message="past the retention")
            yield agent_pb2.WatchEventsResponse(gap=gap)
            seq = self.first_seq - 1
        while True:
            with self._changed:
                while len(self.events) <= seq and left != 0 and self.cuts == cuts and not self._stopping:
                    self._changed.wait()
                if left == 0 or self.cuts > cuts or self._stopping:
                    break
                batch = self.events[seq : seq + min(3, left or 3)]
            if left is not None:
                left -= len(batch)
            seq = batch[-1].seq
            chosen = [event for event in batch if _matches(event, request)]
            yield agent_pb2.WatchEventsResponse(events=chosen, seq=seq)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was cut")

    def WatchMessages(self, request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
        self._receive("WatchMessages", request, context)
        yield messages_pb2.WatchMessagesResponse()
        answers = self.answers["WatchMessages"]
        while answers:
            answer = answers.popleft()
            if isinstance(answer, Failure):
                answer.end(context)
            yield answer  # type: ignore[misc]
        message = messages_pb2.Message(message_id="m1", room_id="demo", user_id="ann", topic="ring", text="hello")
        yield messages_pb2.WatchMessagesResponse(messages=[message])
        with self._changed:
            self._changed.wait_for(lambda: self._stopping)

    def WatchAudioProperties(self, request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
        self._receive("WatchAudioProperties", request, context)
        yield devices_pb2.WatchAudioPropertiesResponse(interval_ms=1000)

    def WatchStatistics(self, request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
        self._receive("WatchStatistics", request, context)
        yield statistics_pb2.WatchStatisticsResponse()
        yield statistics_pb2.WatchStatisticsResponse(statistics=statistics_pb2.Statistics(interval_ms=2000))
        with self._changed:
            self._changed.wait_for(lambda: self._stopping)

    def _receive(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.calls.append(Received(method, request, metadata))

    def _answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        answer: Any = None
        if self.answers[method]:
            answer = self.answers[method].popleft()
        if isinstance(answer, Failure):
            answer.end(context)
        if callable(answer):
            answer = answer(request)
        response = message_factory.GetMessageClass(METHODS[method].output_type)()
        if isinstance(answer, ty.OrderResult):
            response.result.CopyFrom(answer)  # type: ignore[attr-defined]
        elif answer is not None:
            response = answer
        return response


def _matches(event: ev.Event, request: agent_pb2.WatchEventsRequest) -> bool:
    if request.types and event.WhichOneof("payload") not in request.types:
        return False
    return not request.room_ids or not event.room_id or event.room_id in request.room_ids


def outcome(
    kind: ty.Outcome.Kind.ValueType, reason: ty.Reason.ValueType = ty.REASON_UNSPECIFIED, message: str = ""
) -> ty.OrderResult:
    """The result of an order about the room demo."""
    result = ty.OrderResult(revision=7)
    one = result.outcomes.add(object=ty.ObjectRef(room_id="demo"), kind=kind)
    if reason:
        one.cause.CopyFrom(ty.Cause(reason=reason, message=message))
    return result
