"""Judges from readings, over time, whether a connection carries anything, and whether a stream's frames get through.

Nothing here waits or asks: who judges is told the time.
"""

from rtcagent.v1 import state_pb2 as state

from rtcagentd.engine.livekit.media_stats import PublicationReading, RoomReading

# A server acknowledges media 10 to 20 times a second; without any, libwebrtc asks for a sign of life every 2.5 s.
UNANSWERED_S = 1.7
SILENT_S = 5.5
# Receiver reports come once a second.
ACKNOWLEDGED_S = 2.5
STALLED_S = 2.6
NO_FRAMES_S = 2.5  # above the frame interval of the slowest source, 1 fps


class LinkJudge:
    """Of one room: is anything heard of its server?"""

    def __init__(self, now: float) -> None:
        self._heard = -1
        self._sent = -1
        self._heard_at = now
        self._unanswered_since: float | None = None  # media was sent from then on, and nothing came

    def observe(self, now: float, reading: RoomReading) -> bool:
        """Whether the connection seems alive."""
        if reading.packets_received != self._heard:
            self._heard = reading.packets_received
            self._heard_at = now
            self._unanswered_since = None
        elif reading.media_sent != self._sent and self._unanswered_since is None:
            self._unanswered_since = now
        self._sent = reading.media_sent
        if self._unanswered_since is not None and now - self._unanswered_since >= UNANSWERED_S:
            return False
        return now - self._heard_at < SILENT_S

    def pause(self, now: float) -> None:
        """Nobody looked for a while, so that nothing can be said of that time."""
        self._heard_at = now
        self._unanswered_since = None


class StreamJudge:
    """Of one publication: how far do its frames get?"""

    def __init__(self, now: float) -> None:
        self._reading: PublicationReading | None = None
        self._frames_pushed = -1
        self._pushed_at = self._encoded_at = self._sent_at = self._acknowledged_at = now
        self._should_flow_since: float | None = None

    def observe(self, now: float, frames_pushed: int, reading: PublicationReading | None) -> state.MediaState.ValueType:
        """UNSPECIFIED while that is not certain."""
        before, self._reading = self._reading, reading
        if frames_pushed != self._frames_pushed:
            self._frames_pushed, self._pushed_at = frames_pushed, now
        if reading is None or before is None:
            self._should_flow_since = None
            return state.MEDIA_STATE_UNSPECIFIED
        if reading.frames_encoded != before.frames_encoded:
            self._encoded_at = now
        if reading.packets_sent != before.packets_sent:
            self._sent_at = now
        if reading.acknowledged != before.acknowledged:
            self._acknowledged_at = now
        if not reading.is_active:
            self._should_flow_since = None
            return state.MEDIA_STATE_PAUSED
        if now - self._pushed_at >= NO_FRAMES_S:
            self._should_flow_since = None
            return state.MEDIA_STATE_NO_FRAMES
        if self._should_flow_since is None:
            self._should_flow_since = now
        last = min(self._encoded_at, self._sent_at, self._acknowledged_at)
        if now - last < ACKNOWLEDGED_S and last > self._should_flow_since:
            return state.MEDIA_STATE_LIVE
        # measured by the frames that were to get through: a source that has just ended is no stream that stalls
        if self._pushed_at - max(last, self._should_flow_since) >= STALLED_S:
            return state.MEDIA_STATE_STALLED
        return state.MEDIA_STATE_UNSPECIFIED
