"""Makes events for the log: fills in the ids that watchers filter by."""

from google.protobuf.message import Message
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

_IDS = ("room_id", "source_id", "user_id")
_PAYLOADS = {
    field.message_type.name: field.name
    for field in ev.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}


def event(payload: Message) -> ev.Event:
    """The event with this payload. `seq` and `at` are set when it is written down."""
    made = ev.Event()
    getattr(made, _PAYLOADS[payload.DESCRIPTOR.name]).CopyFrom(payload)
    for part in (payload, *(value for field, value in payload.ListFields() if field.message_type is not None)):
        if isinstance(part, Message):
            for name in _IDS:
                if name in part.DESCRIPTOR.fields_by_name and not getattr(made, name):
                    setattr(made, name, getattr(part, name))
    return made


def cause(reason: ty.Reason.ValueType, message: str) -> ty.Cause:
    """A reason with its sentence."""
    return ty.Cause(reason=reason, message=message)


def capture_changed(status: st.CaptureStatus) -> ev.Event:
    return event(ev.CaptureStateChanged(capture=status))


def room_changed(status: st.RoomStatus) -> ev.Event:
    """`status` without its users and publications, which have events of their own."""
    bare = st.RoomStatus()
    bare.CopyFrom(status)
    del bare.users[:]
    del bare.publications[:]
    return event(ev.RoomStateChanged(room=bare))


def publication_changed(status: st.PublicationStatus) -> ev.Event:
    return event(ev.PublicationStateChanged(publication=status))
