"""Who speaks in one room."""

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract

from rtcagentd.engine.events import Events


class Speakers:
    """Of one room, from the server's own judgement of who is loud enough to speak."""

    def __init__(self, room_id: str, events: Events) -> None:
        self._room_id = room_id
        self._events = events
        self.active = ""  # who speaks, or spoke last
        self.speaking: list[str] = []  # by loudness

    def on_changed(self, speakers: list[rtc.Participant]) -> None:
        self.speaking = [participant.identity for participant in speakers]
        # Two who talk at once take turns in being louder, which is no news: who began stays it until they pause.
        if self.speaking and self.active not in self.speaking:
            self.active = self.speaking[0]
            event = contract.ActiveSpeakerChanged(room_id=self._room_id, user_id=self.active)
            self._events.emit(contract.EngineEvent(active_speaker_changed=event))

    def on_user_left(self, user_id: str) -> None:
        self.speaking = [other for other in self.speaking if other != user_id]
        if self.active == user_id:
            self.active = ""
