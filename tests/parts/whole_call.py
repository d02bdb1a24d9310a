"""One agent with everything that can be ordered, and those who see and hear it: what a recovery must bring back."""

import contextlib
from collections.abc import Callable
from typing import Self

from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, RtcAgentError, inputs

from tests.parts import screenshot, sound
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.controller import names
from tests.parts.correspondent import Correspondent
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.picture import Picture, colour_at, make_bars, shows_bars, shows_made_bars
from tests.parts.pulse import Pulse
from tests.parts.recorded import RecordedFile
from tests.parts.room_server import RoomServer
from tests.parts.speaking import Speaking
from tests.parts.waiting import until
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

CALL, ASIDE, LOBBY = "call", "aside", "lobby"
MIC, SECRET = "microphone", "secret"
OWN, ANN, BOB = 700.0, 500.0, 1500.0  # voices, in Hz
LOUD = -26.0  # dBFS, of each voice
NEAR = 3.0  # dB, between what was said and what comes out of codec and mixer
SILENT = -60.0
BLOCK = sound.RATE // 10
BACK_MS = 30_000
INFO = {"attributes": {"seat": "12"}, "name": "Reception", "extra_info": '{"door": 3}'}
WINDOW, DESK = (0, 300, 200, 100), (400, 300, 200, 100)  # of the X server's 640x480


class People:
    """Those in the agent's rooms: ann and bob speak, eve has a face, a listener is in each of the two rooms."""

    def __init__(self, server: RoomServer) -> None:
        self._server = server
        self._stack = contextlib.AsyncExitStack()
        self.listener = Listener()
        self.aside = Listener()
        self.writer = Correspondent()

    async def join(self) -> None:
        stack, url, token = self._stack, self._server.url, self._server.token
        self.listener, self.aside, self.writer = Listener(), Listener(), Correspondent()
        for listener, room_id in ((self.listener, CALL), (self.aside, ASIDE)):
            stack.push_async_callback(listener.close)
            await listener.join(url, token(room_id, "listener"))
        for name, frequency in (("ann", ANN), ("bob", BOB)):
            await stack.enter_async_context(Speaking(url, token(CALL, name), sound.tone(frequency, LOUD, 1)))
        eve = BarePublisher("face")
        stack.push_async_callback(eve.close)
        await eve.capture(still(make_bars(160, 120)), fps=5)
        await eve.join(url, token(CALL, "eve"))
        await eve.publish(200_000, 5)
        stack.push_async_callback(self.writer.close)
        await self.writer.join(url, token(LOBBY, "porter"))

    async def leave(self) -> None:
        await self._stack.aclose()


class WholeCall:
    """`async with WholeCall(...)` after `order()`; `is_back()` after each fault, `never()` at the end."""

    def __init__(self, daemon: Daemon, server: RoomServer, pulse: Pulse, screen: Xvfb) -> None:
        self.daemon = daemon
        self.server = server
        self.pulse = pulse
        self.screen = screen
        self.people = People(server)
        self._client: AsyncClient | None = None
        self.windows: XWindows | None = None
        self.ann_heard: list[float] = []
        self.bob_heard: list[float] = []
        self._left: list[People] = []
        self._rung = 0

    async def __aenter__(self) -> Self:
        self._client = await AsyncClient.connect(self.daemon.address)
        await self.plug_in()
        self.open_windows()
        await self.people.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.people.leave()
        self.close_windows()
        await self.client.close()

    @property
    def client(self) -> AsyncClient:
        assert self._client is not None, "used outside of its block"
        return self._client

    # -- the machine

    async def plug_in(self) -> None:
        """Two speakers, of which `left` is not the default one, and a microphone with a voice."""
        for name in ("right", "left"):
            await self.pulse.add_speaker(name)
        await self.pulse.set_default_speaker("right")
        await self.pulse.add_microphone("desk")
        await self.pulse.play("desk.mouth", sound.tone(OWN, LOUD, 1), loop=True)

    def open_windows(self) -> None:
        self.windows = XWindows(self.screen.display)
        self.windows.open("slides", "green", *WINDOW)
        self.windows.open("desk", "red", *DESK)

    def close_windows(self) -> None:
        if self.windows is not None:
            self.windows.close()
            self.windows = None

    async def people_anew(self) -> None:
        """With the room server's memory they are gone, too."""
        await self.people.leave()
        self._left.append(self.people)
        self.people = People(self.server)
        await self.people.join()

    # -- the orders

    async def order(self) -> None:
        """All of it. What is not to be sent is ordered so before it could be."""
        it = self.client
        await it.join_room(LOBBY, auto_publish=False, auto_subscribe_audio=False, auto_subscribe_video=False)
        await it.join_room(ASIDE, auto_subscribe_audio=False, auto_subscribe_video=False)
        await it.unpublish_stream(ASIDE, "camera")
        await it.mute_stream(ASIDE, MIC, check=False)
        await it.mute_stream(CALL, SECRET, check=False)
        await it.unpublish_stream(ASIDE, SECRET)
        await it.set_audio_playback_device("left", check=False)
        await it.set_playback_volume(50, check=False)
        await it.set_remote_volume(CALL, "ann", 200)
        await it.set_remote_muted(CALL, "bob")
        await it.join_room(CALL)
        await it.set_user_info(CALL, check=False, **INFO)  # type: ignore[arg-type]
        await it.subscribe_stream(CALL, "eve", layer="low")
        await it.set_statistics_interval(CALL, 5000)
        for source_id in ("camera", SECRET):
            await it.start_video_capture(
                source_id, input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10, check=False
            )
        plain = {"echo_cancellation": False, "noise_suppression": False, "auto_gain": False}
        await it.start_audio_capture(volume=200, profile="music", **plain)  # type: ignore[arg-type]
        slides = next(each.id for each in (await it.list_screen_sources()).sources if each.title == "slides")
        await it.start_screen_capture(window_id=slides, max_fps=5)
        await it.start_screen_capture("desk", region=DESK, hide_cursor=True, max_fps=5)
        for source_id in ("screen", "desk"):
            await it.publish_stream(CALL, source_id)
        await it.set_local_video_canvas(geometry=(320, 0, 160, 120), fit="stretch")
        await it.set_remote_video_canvas(CALL, "eve", geometry=(0, 0, 320, 240), fit="stretch")
        await it.enable_audio_properties_report(200)
        await it.start_recording([inputs.recorded_room(CALL)], recording_id="call", check=False)

    # -- what a recovery must bring back

    async def is_back(self, *, with_slides: bool = True) -> None:
        """Everything is as ordered, by the agent's own account and to those who see and hear it."""
        await until(self._nothing_differs, timeout_ms=BACK_MS, what=lambda: f"all is as ordered: {self._differing}")
        listener = self.people.listener
        await listener.picture(NAME, "camera", until=shows_bars, timeout_ms=BACK_MS)
        if with_slides:
            await listener.picture(NAME, "screen", until=_is_all("green"), timeout_ms=BACK_MS)
        await listener.picture(NAME, "desk", until=_is_all("red"), timeout_ms=BACK_MS)
        await listener.hear(NAME, MIC, until=_is_tone(OWN, LOUD + 6), timeout_ms=BACK_MS)
        await until(self._ann_is_heard, timeout_ms=BACK_MS, what="ann is heard on the chosen speaker")
        await screenshot.until_seen(lambda: screenshot.of_x11(self.screen.display), _shows_both, "both canvases")
        seen = listener.room.remote_participants[NAME]
        shown = {"attributes": {"seat": seen.attributes.get("seat")}, "name": seen.name, "extra_info": seen.metadata}
        assert shown == INFO
        await self._levels_are_told()
        await self._a_ring_is_heard()

    _differing: tuple[tuple[str, str], ...] = ()

    async def _nothing_differs(self) -> bool:
        with contextlib.suppress(RtcAgentError):
            state = await self.client.get_state()
            self._differing = tuple(names(each) for each in state.differences)
            return not state.differences
        return False

    async def _ann_is_heard(self) -> bool:
        samples = await self.pulse.record("left.monitor", 0.4)
        self.bob_heard.append(sound.tone_level(samples, BOB))
        self.ann_heard.append(sound.tone_level(samples, ANN))
        return abs(self.ann_heard[-1] - LOUD) < NEAR

    async def _levels_are_told(self) -> None:
        async for reading in self.client.audio_properties():
            heard = {user.user_id: user.properties.dbfs for room in reading.rooms for user in room.users}
            if reading.interval_ms == 200 and heard.get("ann", SILENT) > LOUD - NEAR:
                return

    async def _a_ring_is_heard(self) -> None:
        """In the room where the agent is on standby."""
        self._rung += 1
        async with self.client.messages([LOBBY], ["ring"]) as rings:
            await self.people.writer.sees(NAME)
            await self.people.writer.room.local_participant.send_text(f"ring {self._rung}", topic="ring")
            async for ring in rings:
                assert (await self.client.read_message(ring)).decode() == f"ring {self._rung}"
                return

    async def recorded(self) -> None:
        """Every file plays, none has what was muted, and each voice is in its own user's tracks alone."""
        await self.client.stop_recording("call")
        (recording,) = (await self.client.list_recordings(["call"])).recordings
        folder = self.daemon.folder / "state" / "recordings" / "call"
        voices = {"ann": ANN, "bob": BOB, NAME: OWN}
        heard = set()
        for told in recording.files:
            file = RecordedFile(folder / told.file)
            file.decodes_whole()
            for track, stream in enumerate(told.tracks):
                assert stream.source_id != SECRET
                if stream.kind != ty.STREAM_KIND_MICROPHONE:
                    continue
                samples = file.samples(track)
                for user_id, frequency in voices.items():
                    level = sound.tone_level(samples, frequency)
                    if user_id != stream.user_id:
                        assert level < LOUD - 30, f"{user_id} is heard in {told.file}, {file.titles()[track]}"
                    elif level > LOUD - 20:
                        heard.add(user_id)
        assert heard == set(voices)

    # -- what may not have been, at any moment

    def never(self) -> None:
        """Nothing that is muted or unpublished was sent, and who is muted here was not heard."""
        for people in (*self._left, self.people):
            for listener, source_id in (
                (people.aside, "camera"),
                (people.aside, SECRET),
                (people.listener, SECRET),
                (people.aside, "screen"),
                (people.aside, "desk"),
            ):
                video = listener.video(NAME, source_id)
                assert not video.arrivals, f"{len(video.arrivals)} frames of {source_id} arrived"
            loudest = max((_loudest(chunk) for chunk in people.aside.heard(NAME, MIC).chunks), default=SILENT)
            assert loudest <= SILENT, f"the muted microphone was heard with {loudest:.0f} dBFS"
        assert max(self.bob_heard) < SILENT, f"bob, who is muted here, was heard: {self.bob_heard}"


def _loudest(chunk: sound.Samples) -> float:
    return sound.level(chunk.mean(axis=0))


def _is_tone(frequency: float, level: float) -> Callable[[sound.Samples], bool]:
    return lambda samples: abs(sound.tone_level(samples.mean(axis=0), frequency) - level) < NEAR


def _is_all(colour: str) -> Callable[[Picture], bool]:
    return lambda picture: all(colour_at(picture, x, y) == colour for x in (0.1, 0.5, 0.9) for y in (0.2, 0.8))


def _shows_both(seen: Picture) -> bool:
    return shows_made_bars(seen[:240, :320]) and shows_bars(seen[:80, 320:480])
