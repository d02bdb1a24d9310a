"""Tells the room which of the agent's streams carry a slate, and why: attributes of its own user.

"rtcagent.slate.NAME" of the stream NAME has a reason's name ("DEVICE_UNPLUGGED") while its slate is sent, and is gone
otherwise. Programs read it; a person sees the slate itself.
"""

import asyncio
import logging

from livekit import rtc

from rtcagentd.engine.livekit.publications import Publications
from rtcagentd.engine.slates import Slates

log = logging.getLogger(__name__)

PREFIX = "rtcagent.slate."
SET_DEADLINE_S = 10.0
AGAIN_S = 1.0


class SlateAttributes:
    """Of one joined room, until `close`. Compares anew at each change, and asks for one at a time: of two at once, the
    later one might reach the room first.
    """

    def __init__(self, room_id: str, room: rtc.Room, publications: Publications, slates: Slates) -> None:
        self._room_id = room_id
        self._room = room
        self._publications = publications
        self._slates = slates
        # What an earlier connection of this user left behind is taken back.
        self._asked = {key: text for key, text in room.local_participant.attributes.items() if key.startswith(PREFIX)}
        self._request: asyncio.Task[None] | None = None
        self._is_closed = False
        slates.on_change(self.look)
        self.look()

    def look(self) -> None:
        """The streams, or their slates, may have changed."""
        if self._request is not None or self._is_closed:
            return  # it is looked at again when the answer is there
        wanted = {
            f"{PREFIX}{publication.request.name or publication.request.source_id}": reason
            for publication in self._publications.published()
            if (reason := self._slates.reason(publication.request.source_id)) and not publication.muted
        }
        changes = {
            key: wanted.get(key, "")
            for key in wanted.keys() | self._asked.keys()
            if wanted.get(key, "") != self._asked.get(key, "")
        }
        if changes:
            self._asked |= changes
            self._request = asyncio.create_task(self._set(changes), name=f"slate attributes {self._room_id}")
            self._request.add_done_callback(self._answered)

    def close(self) -> None:
        """Nothing is asked of the room after this."""
        self._is_closed = True
        self._slates.forget_listener(self.look)
        if self._request is not None:
            self._request.cancel()

    def _answered(self, request: "asyncio.Task[None]") -> None:
        self._request = None
        if not request.cancelled():
            self.look()

    async def _set(self, changes: dict[str, str]) -> None:
        local = self._room.local_participant
        try:
            async with asyncio.timeout(SET_DEADLINE_S):
                await local.set_attributes(changes)
        except Exception as error:
            # The slate itself is seen all the same.
            log.info("%s does not show which streams carry a slate: %r", self._room_id, error)
            if not local.permissions.can_update_metadata:
                return
            await asyncio.sleep(AGAIN_S)
            for key, text in changes.items():
                if self._asked.get(key) == text and local.attributes.get(key, "") != text:
                    self._asked[key] = local.attributes.get(key, "")
