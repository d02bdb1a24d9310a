"""Carries out the steps of control/canvas_plan.py; see control/steps.py."""

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import canvas_plan
from rtcagentd.control.events import cause, event
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import State
from rtcagentd.supervise.engine_session import EngineSession


async def make(step: canvas_plan.Step, state: State, progress: ProgressTable, session: EngineSession) -> None:
    """Tell the engine, and write down how it is then. The engine takes every one of these steps."""
    match step:
        case canvas_plan.SetCanvas():
            answer = await session.set_canvas(en.SetCanvasRequest(canvas_id=step.canvas_id, config=step.config))
            progress.succeeded(step.key, step.digest)
            await state.record(event(ev.CanvasStateChanged(canvas=answer.canvas)))
        case canvas_plan.RemoveCanvas():
            await session.remove_canvas(en.RemoveCanvasRequest(canvas_id=step.canvas_id))
            progress.forget(step.key)
            removed = st.CanvasStatus(canvas_id=step.canvas_id, state=st.CANVAS_STATE_REMOVED)
            removed.cause.CopyFrom(cause(ty.REASON_ORDERED, "its order has ended"))
            await state.record(event(ev.CanvasStateChanged(canvas=removed)))
        case canvas_plan.SetLayout():
            request = en.SetLayoutRequest()
            request.CopyFrom(step.request)
            await session.set_layout(request)
            progress.succeeded(step.key, step.digest)
