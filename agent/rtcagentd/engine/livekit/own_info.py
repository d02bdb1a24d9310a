"""What the users of one room see of the agent: extra_info (LiveKit's metadata), name and attributes.

The SDK's calls for it succeed where the room server ignores them, so what counts is what is read back.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError

log = logging.getLogger(__name__)

ANSWER_S = 2.0


@dataclass(frozen=True)
class UserInfo:
    """What is to be seen. What is empty was not asked for."""

    extra_info: str = ""
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class OwnInfo:
    """Of one room. What the token or another part of the agent shows is left alone, unless it is asked for here."""

    def __init__(self, room_id: str, room: rtc.Room) -> None:
        self._room_id = room_id
        self._room = room
        self._asked = UserInfo()  # by the last call
        self.changed = asyncio.Event()  # to be set when the room tells of a change
        self.is_changing = False

    def seen(self) -> UserInfo:
        """What the room has."""
        local = self._room.local_participant
        return UserInfo(local.metadata, local.name, dict(local.attributes))

    async def show(self, info: UserInfo) -> EngineError | None:
        """Show `info`, and no more what an earlier call asked for. Why the room shows something else, else None."""
        local = self._room.local_participant
        before = self._asked
        if (before.extra_info and not info.extra_info) or (before.name and not info.name):
            # livekit-server takes an empty one for one that is not to change
            text = f"{self._room_id} cannot take it back from who is in the room: it is joined anew"
            return EngineError(types.REASON_UNSUPPORTED_BY_ENGINE, text)
        self._asked = info
        extra_info = info.extra_info or local.metadata
        name = info.name or local.name
        attributes = dict.fromkeys(before.attributes, "") | info.attributes

        def wrong_attributes() -> dict[str, str]:
            return {key: value for key, value in attributes.items() if local.attributes.get(key, "") != value}

        def is_shown() -> bool:
            return (local.metadata, local.name) == (extra_info, name) and not wrong_attributes()

        if is_shown():
            return None
        if not local.permissions.can_update_metadata:
            text = f"{self._room_id} does not show it: the room token does not let this user change its own info"
            return EngineError(types.REASON_NO_PERMISSION, text)
        self.is_changing = True
        try:
            async with asyncio.timeout(ANSWER_S):
                # one after the other: each takes along what it knows of the rest
                if local.metadata != extra_info:
                    await self._ask(local.set_metadata(extra_info), lambda: local.metadata == extra_info)
                if local.name != name:
                    await self._ask(local.set_name(name), lambda: local.name == name)
                if changes := wrong_attributes():
                    await self._ask(local.set_attributes(changes), lambda: not wrong_attributes())
                while not is_shown():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return EngineError(types.REASON_TIMEOUT, f"{self._room_id} has not taken it within {ANSWER_S:g} s")
        finally:
            self.is_changing = False
        return None

    async def _ask(self, request: Coroutine[Any, Any, None], is_shown: Callable[[], bool]) -> None:
        """Returns when it is shown: now and then the SDK waits for ever for an answer that has come, as it asks before
        it listens. Raises what the request raises.
        """
        asking = asyncio.ensure_future(request)
        asking.add_done_callback(lambda _: self.changed.set())
        try:
            while not asking.done() and not is_shown():
                self.changed.clear()
                await self.changed.wait()
            if asking.done():
                asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
