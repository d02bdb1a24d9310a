"""The calls of the service Canvases. What every order takes is told in requests/rooms.py."""

from typing import Literal

from rtcagent.v1.canvases_pb2 import (
    ListCanvasesRequest,
    ListCanvasesResponse,
    ListDisplaysRequest,
    ListDisplaysResponse,
    RemoveCanvasRequest,
    SetDefaultLayoutRequest,
    SetLocalVideoCanvasRequest,
    SetRemoteVideoCanvasRequest,
)
from rtcagent.v1.types_pb2 import CanvasPlace, FitMode, Keep, LayoutMode, OrderResult, StreamKind

from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.requests.rooms import KindName
from rtcagent_client.words import enum_value

FitName = Literal["fit", "fill", "stretch"]


def list_displays() -> Call[ListDisplaysResponse]:
    """The displays of the machine and what each can do; `cause` says why there is none."""
    return Call("canvases", "ListDisplays", ListDisplaysRequest(), lambda response: response)


def list_canvases() -> Call[list[ListCanvasesResponse.Canvas]]:
    """The canvases that are ordered, and how each is."""
    return Call("canvases", "ListCanvases", ListCanvasesRequest(), lambda response: list(response.canvases))


def set_local_video_canvas(
    source_id: str = "camera",
    *,
    canvas_id: str = "local",
    display: str = "",
    geometry: tuple[int, int, int, int] | None = None,
    fit: FitName | int | None = None,
    mirror: bool = False,
    background_rgb: int = 0,
    z: int = 0,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Show a local source on the machine's display; for a canvas that is there, change it.

    `display`: of list_displays, default the first; `geometry`: x, y, width and height in its pixels, None: all of it;
    `background_rgb`: 0xRRGGBB; a canvas of a higher `z` lies above. Raises InvalidArgument.
    """
    place = canvas_place(display, geometry, fit, mirror=mirror, background_rgb=background_rgb, z=z)
    request = SetLocalVideoCanvasRequest(
        canvas_id=canvas_id, source_id=source_id, place=place, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("canvases", "SetLocalVideoCanvas", request, wait_ms=wait_ms, check=check)


def set_remote_video_canvas(
    room_id: str,
    user_id: str,
    *,
    kind: KindName | int = "camera",
    name: str = "",
    canvas_id: str = "remote",
    display: str = "",
    geometry: tuple[int, int, int, int] | None = None,
    fit: FitName | int | None = None,
    mirror: bool = False,
    background_rgb: int = 0,
    z: int = 0,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Show a video stream of another user; without `name`, the user's first one of the kind. See
    set_local_video_canvas.
    """
    place = canvas_place(display, geometry, fit, mirror=mirror, background_rgb=background_rgb, z=z)
    request = SetRemoteVideoCanvasRequest(
        canvas_id=canvas_id,
        room_id=room_id,
        user_id=user_id,
        kind=enum_value(StreamKind, kind),
        name=name,
        place=place,
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("canvases", "SetRemoteVideoCanvas", request, wait_ms=wait_ms, check=check)


def remove_canvas(
    canvas_id: str, *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Take a canvas away. NotFound: there is no order for it."""
    request = RemoveCanvasRequest(canvas_id=canvas_id, order=order_options(wait_ms, None, request_id))
    return order_call("canvases", "RemoveCanvas", request, wait_ms=wait_ms, check=check)


def set_default_layout(
    on: bool | None,
    *,
    display: str = "",
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Show everyone in a grid on displays without a canvas, or do not; None: as the agent's configuration says.

    `display`: of list_displays; empty: every one that has no order of its own. Holds for ever unless `keep` says
    otherwise.
    """
    mode = LayoutMode.LAYOUT_MODE_UNSPECIFIED
    if on is not None:
        mode = LayoutMode.LAYOUT_MODE_ON if on else LayoutMode.LAYOUT_MODE_OFF
    request = SetDefaultLayoutRequest(display=display, mode=mode, order=order_options(wait_ms, keep, request_id))
    return order_call("canvases", "SetDefaultLayout", request, wait_ms=wait_ms, check=check)


def canvas_place(
    display: str,
    geometry: tuple[int, int, int, int] | None,
    fit: FitName | int | None,
    *,
    mirror: bool,
    background_rgb: int,
    z: int,
) -> CanvasPlace:
    place = CanvasPlace(
        display=display, fit=enum_value(FitMode, fit), mirror=mirror, background_rgb=background_rgb, z=z
    )
    if geometry is not None:
        x, y, width, height = geometry
        place.geometry.CopyFrom(CanvasPlace.Geometry(x=x, y=y, width=width, height=height))
    return place
