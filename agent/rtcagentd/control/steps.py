"""Carries out one step at the engine, and reports what came of it.

Each step of plan.py has one method here, which returns only when its events are written down, so that the next plan
sees them.
"""

import asyncio
import contextlib
import logging
import math
from typing import Protocol

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import (
    canvas_plan,
    canvas_steps,
    clock,
    plan,
    recording_plan,
    recording_steps,
    sound_steps,
    wanted_audio,
)
from rtcagentd.control.events import capture_changed, cause, event, publication_changed, room_changed
from rtcagentd.control.join_tokens import NoToken
from rtcagentd.control.objects import Key, room_id_of, room_key
from rtcagentd.control.presence import Presence
from rtcagentd.control.progress import Progress, ProgressTable
from rtcagentd.control.refusals import RefusalPolicy
from rtcagentd.control.server_watch import GATED, ServerWatch
from rtcagentd.control.state import State
from rtcagentd.supervise.engine_session import EngineSession, StepTimeout

log = logging.getLogger(__name__)

SOURCE_RETRY_S = 2.0  # a camera that is back, one on the network too, is seen within 3 s; trying costs others little
_NO_SLATE = st.CaptureStatus()
INFO_AGAIN_S = 5.0


class Complete(Protocol):
    """Gives a desired room the server and the token to join it by now; NoToken where there is none."""

    async def __call__(self, config: ty.RoomConfig, token: str, *, rejoin: bool) -> ty.RoomConfig: ...


class Steps:
    """Steps of one engine generation."""

    def __init__(
        self,
        state: State,
        progress: ProgressTable,
        session: EngineSession,
        complete: Complete,
        servers: ServerWatch,
        presence: Presence,
        joined: set[str],
        refusals: RefusalPolicy,
    ) -> None:
        self._state = state
        self._progress = progress
        self._session = session
        self._complete = complete
        self._servers = servers
        self._presence = presence
        self._joined = joined  # rooms joined since they were ordered: the next join is a reconnect
        self._refusals = refusals

    async def make(self, step: plan.Step) -> None:
        """Carry out `step`. EngineGone means that nothing more can be."""
        match step:
            case plan.OpenSource():
                await self._open_source(step)
            case plan.CloseSource():
                await self._close_source(step)
            case plan.AwaitDevice():
                await self._await_device(step)
            case plan.Join():
                await self._join(step)
            case plan.Withhold():
                await self._withhold(step)
            case plan.Drop():
                await self._drop(step)
            case plan.Leave():
                await self._leave(step)
            case plan.SetUserInfo():
                await self._set_user_info(step)
            case plan.Publish():
                await self._publish(step)
            case plan.Unpublish():
                await self._unpublish(step)
            case plan.SetMuted():
                await self._set_muted(step)
            case plan.SetSubscribed():
                await self._set_subscribed(step)
            case plan.SetPlayback():
                await sound_steps.set_playback(step, self._session, self._state, self._progress)
            case plan.SetRemoteVolume():
                await sound_steps.set_remote_volume(step, self._session, self._progress)
            case canvas_plan.SetCanvas() | canvas_plan.RemoveCanvas() | canvas_plan.SetLayout():
                await canvas_steps.make(step, self._state, self._progress, self._session)
            case recording_plan.SetRecording() | recording_plan.RemoveRecording():
                await recording_steps.make(step, self._state, self._progress, self._session)

    # -- sources

    async def _open_source(self, step: plan.OpenSource) -> None:
        status = fold.find_capture(self._state.reported, step.source_id)
        if status is None or (status.state != st.CAPTURE_STATE_CAPTURING and self._is_first_try(step.key)):
            starting = st.CaptureStatus(source_id=step.source_id, state=st.CAPTURE_STATE_STARTING)
            if status is not None and status.showing_slate:  # until the first frame
                starting.showing_slate = True
                starting.format.CopyFrom(status.format)
            self._state.record(capture_changed(starting))
        try:
            answer = await self._session.open_source(_open_request(step))
        except StepTimeout:
            answer = en.OpenSourceResponse(failure=_timeout("opening the source"))
        if answer.HasField("failure"):
            await self.capture_failed(step.source_id, step.key, step.digest, answer.failure, answer.capture)
            return
        status = st.CaptureStatus()
        status.CopyFrom(answer.capture)
        status.source_id = step.source_id
        status.state = st.CAPTURE_STATE_CAPTURING
        self._progress.succeeded(step.key, step.digest)
        await self._state.record(capture_changed(status))

    async def capture_failed(
        self,
        source_id: str,
        key: Key,
        digest: bytes,
        failure: en.Failure,
        slate: st.CaptureStatus = _NO_SLATE,
    ) -> None:
        """Report a source that did not open, or ended, and what is shown of it; set when to try again."""
        capture = self._state.get(key, st.DesiredCapture)
        is_file = capture is not None and "file" in _inputs(capture)
        self._fail(key, digest, failure, at_most_s=math.inf if is_file else SOURCE_RETRY_S)
        status = st.CaptureStatus(source_id=source_id, cause=failure.cause, showing_slate=slate.showing_slate)
        if slate.showing_slate:
            status.format.CopyFrom(slate.format)
        status.state = st.CAPTURE_STATE_REFUSED if failure.permanent else st.CAPTURE_STATE_WAITING
        before = fold.find_capture(self._state.reported, source_id)
        if before is None or _told_of(before) != _told_of(status):
            await self._state.record(capture_changed(status))

    async def _await_device(self, step: plan.AwaitDevice) -> None:
        waiting = st.CaptureStatus(source_id=step.source_id, state=st.CAPTURE_STATE_WAITING, cause=step.cause)
        if step.slate is not None:
            request = en.OpenSourceRequest(source_id=step.source_id, config=step.slate, absent=step.cause)
            with contextlib.suppress(StepTimeout):  # then there is no slate
                answer = await self._session.open_source(request)
                self._progress.of(step.key).stand_in = plan.digest(step.slate)
                waiting.showing_slate = answer.capture.showing_slate
                if waiting.showing_slate:
                    waiting.format.CopyFrom(answer.capture.format)
        await self._state.record(capture_changed(waiting))

    async def _close_source(self, step: plan.CloseSource) -> None:
        await self._session.close_source(en.CloseSourceRequest(source_id=step.source_id))
        self._progress.forget(step.key)
        stopped = st.CaptureStatus(source_id=step.source_id, state=st.CAPTURE_STATE_STOPPED)
        stopped.cause.CopyFrom(cause(ty.REASON_ORDERED, "its order has ended"))
        await self._state.record(capture_changed(stopped))

    # -- rooms

    async def _join(self, step: plan.Join) -> None:
        room_id = step.config.room_id
        status = st.RoomStatus(room_id=room_id, user_id=step.config.user_id, server_url=step.config.server_url)
        before = fold.find_room(self._state.reported, room_id)
        self._presence.lost(before)
        if before is None or (self._is_first_try(step.key) and before.state != st.ROOM_STATE_JOINED):
            status.state = st.ROOM_STATE_JOINING
            self._state.record(room_changed(status))
        try:
            config = await self._complete(step.config, step.token, rejoin=room_id in self._joined)
        except NoToken as none:
            failure = en.Failure(cause=none.cause, permanent=none.permanent)
            await self.room_failed(status, step.key, step.digest, failure)
            return
        status.server_url = config.server_url
        self._forget_streams(room_id)
        try:
            answer = await self._session.join(en.JoinRequest(config=config))
        except StepTimeout:
            answer = en.JoinResponse(failure=_timeout("joining the room"))
        if answer.HasField("failure"):
            failure = await clock.explain(answer.failure, status.server_url)
            await self.room_failed(status, step.key, step.digest, failure)
            return
        joined = st.RoomStatus()
        joined.CopyFrom(answer.room)
        joined.room_id, joined.user_id, joined.server_url = room_id, config.user_id, config.server_url
        joined.state = st.ROOM_STATE_JOINED
        joined.join_type = st.JOIN_TYPE_RECONNECTED if room_id in self._joined else st.JOIN_TYPE_FIRST
        joined.joined_at.GetCurrentTime()
        self._joined.add(room_id)
        self._forget_streams(room_id)  # also what ended while this room was being joined, or was refused in the last
        self._progress.succeeded(step.key, step.digest)
        self._note_info(step.key, plan.info_digest(step.config), joined.info_cause)
        await self._state.record(room_changed(joined), *self._presence.joined(room_id, answer.user_ids))

    async def _set_user_info(self, step: plan.SetUserInfo) -> None:
        config = step.config
        request = en.SetUserInfoRequest(
            room_id=config.room_id, extra_info=config.extra_info, name=config.name, attributes=config.attributes
        )
        session = self._progress.of(step.key)
        try:
            answer = await self._session.set_user_info(request)
        except StepTimeout:
            answer = en.SetUserInfoResponse(failure=_timeout("showing the user's info"))
        before = fold.find_room(self._state.reported, config.room_id)
        if before is None or not self._is_in(config.room_id, session):
            return
        if answer.failure.cause.reason == ty.REASON_UNSUPPORTED_BY_ENGINE:
            session.applied = None  # not without joining anew
            return
        self._note_info(step.key, step.digest, answer.failure.cause)
        status = st.RoomStatus()
        status.CopyFrom(before)
        status.ClearField("info_cause")
        if answer.HasField("failure"):
            status.info_cause.CopyFrom(answer.failure.cause)
        else:
            status.extra_info, status.name = answer.extra_info, answer.name
            status.ClearField("attributes")
            status.attributes.update(answer.attributes)
        await self._state.record(room_changed(status))

    def _note_info(self, key: Key, info: bytes, why_not: ty.Cause) -> None:
        """Remember what was asked to be shown. What the token forbids is not tried again; what took too long is."""
        progress = self._progress.of(key)
        progress.is_info_refused = why_not.reason == ty.REASON_NO_PERMISSION
        if why_not.reason and not progress.is_info_refused:
            progress.info = b""
            progress.retry_at = asyncio.get_running_loop().time() + INFO_AGAIN_S
        else:
            progress.info = info

    def room_lost(self, room_id: str) -> None:
        """The engine is restoring the connection; that is not waited for without end."""
        before = fold.find_room(self._state.reported, room_id)
        if before is not None:
            self._servers.lost(room_key(room_id), before.server_url)

    def room_restored(self, room_id: str) -> None:
        self._servers.restored(room_key(room_id))

    async def _drop(self, step: plan.Drop) -> None:
        await self._session.leave(en.LeaveRequest(room_id=step.room_id))
        before = fold.find_room(self._state.reported, step.room_id)
        status = st.RoomStatus(room_id=step.room_id)
        if before is not None:
            status.user_id, status.server_url = before.user_id, before.server_url
        digest = self._progress.of(step.key).applied or b""
        await self.room_failed(status, step.key, digest, en.Failure(cause=step.cause))

    async def room_failed(self, status: st.RoomStatus, key: Key, digest: bytes, failure: en.Failure) -> None:
        """Report a room that was not joined, or was lost, and set when to try again.

        A repeated failure for the same reason is told only each time its count has doubled: it may go on for days.
        """
        row = self._state.rows.get(key)
        refusals = self._progress.of(key).refusals + 1
        own_token = row is not None and not row.secret
        again_in_s = self._refusals.again_in_s(failure.cause.reason, refusals, own_token=own_token)
        self._fail(key, digest, failure, again_in_s)
        if failure.cause.reason in GATED and not failure.permanent:
            self._servers.gate(key, status.server_url)
        self._forget_streams(status.room_id)
        failures = self._progress.of(key).failures
        status.state = st.ROOM_STATE_REFUSED if failure.permanent else st.ROOM_STATE_WAITING
        status.cause.CopyFrom(failure.cause)
        status.attempt_count = failures
        before = fold.find_room(self._state.reported, status.room_id)
        self._presence.lost(before)
        is_news = before is None or (before.state, before.cause.reason) != (status.state, status.cause.reason)
        if is_news or failures & (failures - 1) == 0:
            await self._state.record(room_changed(status))

    async def _withhold(self, step: plan.Withhold) -> None:
        failure = en.Failure(cause=step.cause, permanent=True)
        if step.key.kind == "capture":
            await self.capture_failed(step.key.text, step.key, step.digest, failure)
        elif step.key.kind == "recording":
            await recording_steps.failed(step.key, step.digest, failure, self._state, self._progress)
        else:
            await self.room_failed(st.RoomStatus(room_id=step.key.text), step.key, step.digest, failure)

    async def _leave(self, step: plan.Leave) -> None:
        await self._session.leave(en.LeaveRequest(room_id=step.room_id))
        self._progress.forget(step.key)
        self._forget_streams(step.room_id)
        self._presence.forget(step.room_id)
        self._joined.discard(step.room_id)
        left = st.RoomStatus(room_id=step.room_id, state=st.ROOM_STATE_LEFT)
        left.cause.CopyFrom(cause(ty.REASON_ORDERED, "its order has ended"))
        await self._state.record(room_changed(left))

    def _forget_streams(self, room_id: str) -> None:
        """What was published and subscribed went with the connection."""
        for kind in ("stream", "subscription"):
            for key in self._progress.keys(kind):
                if room_id_of(key) == room_id and not self._progress.of(key).in_flight:
                    self._progress.forget(key)

    # -- streams

    async def _publish(self, step: plan.Publish) -> None:
        stream = step.stream
        request = en.PublishRequest(
            room_id=stream.room_id,
            source_id=stream.source_id,
            kind=stream.kind,
            name=stream.name,
            encoder=stream.encoder,
            format=step.format,
            muted=stream.muted,
            audio_profile=stream.audio_profile,
            anew=step.anew,
        )
        status = st.PublicationStatus(
            room_id=stream.room_id, source_id=stream.source_id, kind=stream.kind, name=stream.name, muted=stream.muted
        )
        if self._is_first_try(step.key):
            status.state = st.PUBLICATION_STATE_PUBLISHING
            self._state.record(publication_changed(status))
        session = self._progress.of(room_key(stream.room_id))
        try:
            answer = await self._session.publish(request)
        except StepTimeout:
            answer = en.PublishResponse(failure=_timeout("publishing the stream"))
        if not self._is_in(stream.room_id, session):
            self._progress.forget(step.key)
            return
        if answer.HasField("failure"):
            await self.publication_failed(status, step.key, step.digest, answer.failure)
            return
        status.MergeFrom(answer.publication)
        if step.anew:  # once for each size, whatever the engine makes of it
            status.width, status.height = step.format.width, step.format.height
        status.muted = stream.muted
        status.state = st.PUBLICATION_STATE_PUBLISHED
        self._progress.succeeded(step.key, step.digest)
        before = fold.find_publication(self._state.reported, stream.room_id, stream.source_id)
        status.first_frame_sent = before is not None and before.first_frame_sent
        await self._state.record(publication_changed(status))

    async def publication_failed(
        self, status: st.PublicationStatus, key: Key, digest: bytes, failure: en.Failure
    ) -> None:
        """Report a stream that was not published, or ended, and set when to try again."""
        self._fail(key, digest, failure)
        status.state = st.PUBLICATION_STATE_REFUSED if failure.permanent else st.PUBLICATION_STATE_WAITING
        status.cause.CopyFrom(failure.cause)
        before = fold.find_publication(self._state.reported, status.room_id, status.source_id)
        if before is None or (before.state, before.cause) != (status.state, status.cause):
            await self._state.record(publication_changed(status))

    async def _unpublish(self, step: plan.Unpublish) -> None:
        await self._session.unpublish(en.UnpublishRequest(room_id=step.room_id, source_id=step.source_id))
        self._progress.forget(step.key)
        ended = st.PublicationStatus(room_id=step.room_id, source_id=step.source_id)
        ended.state = st.PUBLICATION_STATE_UNPUBLISHED
        ended.cause.CopyFrom(cause(ty.REASON_ORDERED, "its order, or the capture of its source, has ended"))
        await self._state.record(publication_changed(ended))

    async def _set_muted(self, step: plan.SetMuted) -> None:
        request = en.SetMutedRequest(room_id=step.room_id, source_id=step.source_id, muted=step.muted)
        answer = await self._session.set_muted(request)
        if answer.HasField("failure"):
            status = st.PublicationStatus(room_id=step.room_id, source_id=step.source_id)
            digest = self._progress.of(step.key).applied or b""
            await self.publication_failed(status, step.key, digest, answer.failure)
            return
        before = fold.find_publication(self._state.reported, step.room_id, step.source_id)
        if before is not None:
            status = st.PublicationStatus()
            status.CopyFrom(before)
            status.muted = step.muted
            await self._state.record(publication_changed(status))

    async def _set_subscribed(self, step: plan.SetSubscribed) -> None:
        request = en.SetSubscribedRequest(
            room_id=step.room_id,
            user_id=step.user_id,
            kind=step.kind,
            name=step.name,
            subscribed=step.subscribed,
            quality=step.quality,
            ordered=step.ordered,
            unheard=step.unheard,
        )
        session = self._progress.of(room_key(step.room_id))
        try:
            answer = await self._session.set_subscribed(request)
        except StepTimeout:
            answer = en.SetSubscribedResponse(failure=_timeout("subscribing to the stream"))
        if not self._is_in(step.room_id, session):
            self._progress.forget(step.key)
            return
        if not answer.HasField("failure"):
            self._progress.succeeded(step.key, step.digest)
            return
        self._fail(step.key, step.digest, answer.failure)
        if answer.failure.permanent:
            refused = ev.SubscriptionStateChanged(
                room_id=step.room_id,
                user_id=step.user_id,
                kind=step.kind,
                name=step.name,
                subscription=st.SUBSCRIPTION_STATE_REFUSED,
                cause=answer.failure.cause,
            )
            await self._state.record(event(refused))

    # --

    def _is_in(self, room_id: str, session: Progress) -> bool:
        """Whether the room is still that of `session`. If not, an answer about a stream says nothing of the next."""
        return session.applied is not None and self._progress.of(room_key(room_id)) is session

    def _is_first_try(self, key: Key) -> bool:
        return self._progress.of(key).failures == 0

    def _fail(
        self,
        key: Key,
        digest: bytes,
        failure: en.Failure,
        again_in_s: float | None = None,
        at_most_s: float = math.inf,
    ) -> None:
        failures = self._progress.of(key).failures
        is_news = self._progress.of(key).cause != failure.cause or failures & (failures + 1) == 0
        log.log(logging.INFO if is_news else logging.DEBUG, "%s %s: %s", key.kind, key.text, failure.cause.message)
        now = asyncio.get_running_loop().time()
        self._progress.failed(key, digest, failure.cause, failure.permanent, now, again_in_s, at_most_s)


def _told_of(status: st.CaptureStatus) -> tuple[object, ...]:
    """What of a source that is not captured is news when it changes."""
    return status.state, status.cause, status.showing_slate


def _open_request(step: plan.OpenSource) -> en.OpenSourceRequest:
    if isinstance(step.config, ty.AudioCaptureConfig):
        channels = wanted_audio.channels(step.config)
        return en.OpenSourceRequest(source_id=step.source_id, audio=step.config, audio_channels=channels)
    return en.OpenSourceRequest(source_id=step.source_id, config=step.config)


def _inputs(capture: st.DesiredCapture) -> tuple[str | None, str | None]:
    return capture.config.input.WhichOneof("input"), capture.audio.input.WhichOneof("input")


def _timeout(what: str) -> en.Failure:
    return en.Failure(cause=cause(ty.REASON_TIMEOUT, f"{what} did not end in time; it is tried again"))
