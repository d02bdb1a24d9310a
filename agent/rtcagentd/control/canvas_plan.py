"""The next steps for canvases and the default layout; see control/plan.py. And what their outcomes are."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.events import cause
from rtcagentd.control.objects import Key, canvas_key
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import State

# The engine has one setting for all displays; it is no object of the desired state.
LAYOUT = Key("layout setting", "")

Judged = tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]


@dataclass(frozen=True, slots=True)
class SetCanvas:
    key: Key
    digest: bytes
    canvas_id: str
    config: ty.CanvasConfig


@dataclass(frozen=True, slots=True)
class RemoveCanvas:
    key: Key
    canvas_id: str


@dataclass(frozen=True, slots=True)
class SetLayout:
    key: Key
    digest: bytes
    request: en.SetLayoutRequest


Step = SetCanvas | RemoveCanvas | SetLayout


def steps(state: State, progress: ProgressTable) -> Iterator[Step]:
    """What the engine is to be told next."""
    wanted = set()
    for canvas in state.all(st.DesiredCanvas):
        key = canvas_key(canvas.canvas_id)
        wanted.add(key)
        asked = _digest(canvas.config)
        if progress.peek(key).applied != asked:
            yield SetCanvas(key, asked, canvas.canvas_id, canvas.config)
    for status in state.reported.canvases:
        if canvas_key(status.canvas_id) not in wanted:
            yield RemoveCanvas(canvas_key(status.canvas_id), status.canvas_id)
    layout = wanted_layout(state)
    applied = progress.peek(LAYOUT).applied
    if applied != _digest(layout) and (applied is not None or layout != en.SetLayoutRequest()):
        yield SetLayout(LAYOUT, _digest(layout), layout)


def wanted_layout(state: State) -> en.SetLayoutRequest:
    """Where the default layout may be shown, by the orders and the configuration."""
    request = en.SetLayoutRequest(on=state.default_layout)
    for layout in sorted(state.all(st.DesiredLayout), key=lambda layout: layout.display):
        is_on = layout.mode == ty.LAYOUT_MODE_ON
        if not layout.display:
            request.on = is_on
        else:
            (request.displays_on if is_on else request.displays_off).append(layout.display)
    return request


def judge_canvas(state: State, progress: ProgressTable, key: Key) -> Judged:
    """What became of a canvas; without a cause where nothing is known of it."""
    canvas = state.get(key, st.DesiredCanvas)
    status = fold.find_canvas(state.reported, key.text)
    if canvas is None:
        if status is None:
            return ty.Outcome.KIND_REACHED, None
        return ty.Outcome.KIND_WAITING, cause(ty.REASON_ORDERED, "the canvas is being removed")
    if status is None:
        return ty.Outcome.KIND_WAITING, None
    if progress.peek(key).applied != _digest(canvas.config):
        return ty.Outcome.KIND_WAITING, cause(ty.REASON_ORDERED, "the canvas is being changed")
    match status.state:
        case st.CANVAS_STATE_SHOWN:
            return ty.Outcome.KIND_REACHED, None
        case st.CANVAS_STATE_REFUSED:
            return ty.Outcome.KIND_REFUSED, status.cause
    return ty.Outcome.KIND_WAITING, status.cause


def judge_layout(state: State, progress: ProgressTable, key: Key) -> Judged:
    """What became of an order about the default layout. It is shown when somebody is there; that is not waited for."""
    applied = progress.peek(LAYOUT).applied
    layout = wanted_layout(state)
    if applied != _digest(layout) and (applied is not None or layout != en.SetLayoutRequest()):
        return ty.Outcome.KIND_WAITING, None
    order = state.get(key, st.DesiredLayout)
    displays = state.reported.displays
    if order is not None and order.mode == ty.LAYOUT_MODE_ON:
        if not displays.displays:
            return ty.Outcome.KIND_WAITING, displays.cause
        if order.display and all(display.display_id != order.display for display in displays.displays):
            text = f"the machine has no display {order.display!r} now"
            return ty.Outcome.KIND_WAITING, cause(ty.REASON_NO_DISPLAY, text)
    return ty.Outcome.KIND_REACHED, None


def _digest(message: ty.CanvasConfig | en.SetLayoutRequest) -> bytes:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
