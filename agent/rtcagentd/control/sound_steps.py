"""Carries out the steps about the sound of others at the engine. Part of steps.py, apart for its length."""

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st

from rtcagentd.control.events import event
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.sound_plan import SetPlayback, SetRemoteVolume
from rtcagentd.control.state import State
from rtcagentd.supervise.engine_session import EngineSession


async def set_playback(step: SetPlayback, session: EngineSession, state: State, progress: ProgressTable) -> None:
    answer = await session.set_playback(step.request)
    progress.succeeded(step.key, step.digest)
    await playback_is(answer.playback, state)


async def set_remote_volume(step: SetRemoteVolume, session: EngineSession, progress: ProgressTable) -> None:
    await session.set_remote_volume(step.request)
    if step.is_default:
        progress.forget(step.key)
    else:
        progress.succeeded(step.key, step.digest)


async def playback_is(status: st.PlaybackStatus, state: State) -> None:
    """Report how the sound of others is played; the engine tells it in answers and events alike."""
    if status != state.reported.playback:
        await state.record(event(ev.PlaybackStateChanged(playback=status)))
