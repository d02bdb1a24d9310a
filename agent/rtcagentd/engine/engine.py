"""What an engine kind implements, beneath the contract server and above an RTC SDK."""

from typing import Protocol

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import agent_pb2 as agent
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import devices_pb2 as devices
from rtcagent.v1 import messages_pb2 as msg
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.viewing import RemoteUser

# Reasons that the same step would meet again until something about it changes.
_PERMANENT = frozenset(
    {
        types.REASON_TOKEN_REJECTED,
        types.REASON_NO_PERMISSION,
        types.REASON_KICKED_OUT,
        types.REASON_DUPLICATE_USER,
        types.REASON_FORMAT_UNSUPPORTED,
        types.REASON_UNSUPPORTED_BY_ENGINE,
        types.REASON_URL_INVALID,
        types.REASON_ROOM_NOT_FOUND,
        types.REASON_WINDOW_CLOSED,
        types.REASON_SHARE_DENIED,
    }
)


class EngineError(Exception):
    """A step that cannot be done, or something that ended: the cause, and whether trying again can help."""

    def __init__(self, reason: types.Reason.ValueType, message: str, *, permanent: bool | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.permanent = reason in _PERMANENT if permanent is None else permanent

    @classmethod
    def from_native(cls, reason: str, message: str) -> "EngineError":
        """The error of a native part, which names its reason as text."""
        name = f"REASON_{reason}"
        return cls(
            types.Reason.Value(name) if name in types.Reason.DESCRIPTOR.values_by_name else types.REASON_INTERNAL,
            message,
        )

    def cause(self) -> types.Cause:
        return types.Cause(reason=self.reason, message=self.message)

    def failure(self) -> contract.Failure:
        return contract.Failure(cause=self.cause(), permanent=self.permanent)


class Engine(Protocol):
    """One kind of RTC engine. Called on the event loop only, with at most one call at a time for each room, stream and
    subscription. A call that is refused raises EngineError; a call that is cancelled leaves nothing behind.
    What happens later goes to Events.
    """

    kind: str
    version: str  # of the native engine

    def capabilities(self) -> list[agent.Capability.ValueType]: ...
    def limits(self) -> agent.EngineLimits: ...
    def encoders(self) -> list[capture.VideoEncoder]:
        """What can encode each codec here. Looks at files: not on the event loop."""
        ...

    async def join(self, config: types.RoomConfig) -> state.RoomStatus:
        """Be in the room; the status comes without users and publications."""

    async def leave(self, room_id: str) -> None: ...
    async def set_user_info(self, request: contract.SetUserInfoRequest) -> contract.SetUserInfoResponse:
        """Show others the info; the answer is what the room has, with a failure where that is something else."""

    async def publish(self, request: contract.PublishRequest) -> state.PublicationStatus: ...
    async def unpublish(self, room_id: str, source_id: str) -> None: ...
    def set_muted(self, room_id: str, source_id: str, muted: bool) -> None: ...
    async def set_subscribed(
        self,
        room_id: str,
        user_id: str,
        kind: types.StreamKind.ValueType,
        name: str,
        subscribed: bool,
        quality: types.StreamQuality | None = None,
        *,
        ordered: bool,
        unheard: bool = False,
    ) -> None:
        """`ordered`: video is received though nobody looks at it; `unheard`: sound is not played."""

    async def statistics(self) -> contract.GetStatisticsResponse:
        """What is counted of rooms and streams since they began."""

    async def send_message(self, message: msg.SendMessageRequest) -> None:
        """Hand a message to the room server."""

    def user_ids(self, room_id: str) -> list[str]:
        """The others in a room that is joined."""

    def rooms(self) -> list[state.RoomStatus]:
        """Every room that is open, with users and publications, as of now."""

    async def remote_snapshot(
        self, stream: types.ObjectRef.RemoteStream, image_format: str
    ) -> "_native.Snapshot | contract.TakeSnapshotResponse.Missing.ValueType":
        """The newest picture of a subscribed stream, or why there is none."""

    def audio_properties(self) -> list[devices.WatchAudioPropertiesResponse.Room]:
        """How loud the others in each room were since this was asked last, and who speaks."""

    def users(self) -> list[RemoteUser]:
        """The other users of all rooms, with their video. Viewing.streams_changed tells when that changes."""

    def publication_stats(self) -> list[capture.PublicationStats]: ...
    def remote_stats(self) -> list[capture.RemoteStreamStats]: ...

    async def close(self) -> None:
        """Leave every room. Afterwards there are no more events."""
