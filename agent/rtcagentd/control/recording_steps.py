"""Carries out the steps of control/recording_plan.py, and takes what the engine tells of recordings."""

import asyncio

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import recording_plan
from rtcagentd.control.events import cause, event
from rtcagentd.control.objects import Key, recording_key
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import State
from rtcagentd.supervise.engine_session import EngineSession, StepTimeout

RETRY_S = 5.0  # a disk that has room again is seen soon, and looking costs nothing


async def make(step: recording_plan.Step, state: State, progress: ProgressTable, session: EngineSession) -> None:
    """Tell the engine, and write down how it is then."""
    recording_id = step.key.text
    if isinstance(step, recording_plan.RemoveRecording):
        await session.remove_recording(en.RemoveRecordingRequest(recording_id=recording_id))
        progress.forget(step.key)
        stopped = st.RecordingStatus(recording_id=recording_id, state=st.RECORDING_STATE_STOPPED)
        stopped.cause.CopyFrom(cause(ty.REASON_ORDERED, "its order has ended"))
        await state.record(event(ev.RecordingStateChanged(recording=stopped)))
        return
    request = en.SetRecordingRequest()
    request.CopyFrom(step.request)
    try:
        answer = await session.set_recording(request)
    except StepTimeout:
        why = cause(ty.REASON_TIMEOUT, "the engine did not begin the recording in time: the disk may be very slow")
        answer = en.SetRecordingResponse(failure=en.Failure(cause=why))
    if answer.HasField("failure"):
        await failed(step.key, step.digest, answer.failure, state, progress)
        return
    progress.succeeded(step.key, step.digest)
    await _report(answer.recording, state)


async def changed(happened: en.RecordingChanged, state: State, progress: ProgressTable) -> None:
    """Take what the engine tells of a recording that it was asked for."""
    key = recording_key(happened.recording.recording_id)
    digest = progress.peek(key).applied
    if digest is None:
        return
    if happened.HasField("failure"):
        await failed(key, digest, happened.failure, state, progress)
    else:
        await _report(happened.recording, state)


async def failed(key: Key, digest: bytes, failure: en.Failure, state: State, progress: ProgressTable) -> None:
    """Report a recording that was not begun, or broke off, and set when to try again."""
    now = asyncio.get_running_loop().time()
    progress.failed(key, digest, failure.cause, failure.permanent, now, at_most_s=RETRY_S)
    status = st.RecordingStatus(recording_id=key.text, state=st.RECORDING_STATE_WAITING, cause=failure.cause)
    before = fold.find_recording(state.reported, key.text)
    # How much is free differs at each try.
    if before is None or before.state != status.state or before.cause.reason != status.cause.reason:
        await state.record(event(ev.RecordingStateChanged(recording=status)))


async def _report(status: st.RecordingStatus, state: State) -> None:
    if fold.find_recording(state.reported, status.recording_id) != status:
        await state.record(event(ev.RecordingStateChanged(recording=status)))
