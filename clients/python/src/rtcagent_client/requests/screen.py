"""The calls of the service Screen. What every order takes is told in requests/rooms.py."""

from rtcagent.v1.screen_pb2 import (
    ListScreenAudioSourcesRequest,
    ListScreenAudioSourcesResponse,
    ListScreenSourcesRequest,
    ListScreenSourcesResponse,
    StartScreenAudioCaptureRequest,
    StartScreenCaptureRequest,
    StopScreenAudioCaptureRequest,
    StopScreenCaptureRequest,
    UpdateScreenCaptureRequest,
)
from rtcagent.v1.types_pb2 import AudioProfile, Keep, OrderResult

from rtcagent_client import inputs
from rtcagent_client.inputs import ContentHintName, Region
from rtcagent_client.requests.audio import AudioProfileName
from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.words import enum_value


def list_screen_sources(*, thumbnail_width: int = 0) -> Call[ListScreenSourcesResponse]:
    """The displays and windows that can be shared, with PNG pictures of them if `thumbnail_width` (16-640) is given.

    Raises FailedPrecondition (NO_DISPLAY, PORTAL_MISSING), Unavailable.
    """
    request = ListScreenSourcesRequest(thumbnail_width=thumbnail_width)
    return Call("screen", "ListScreenSources", request, lambda response: response)


def start_screen_capture(
    source_id: str = "screen",
    *,
    display_id: str = "",
    window_id: str = "",
    region: Region | None = None,
    hide_cursor: bool = False,
    max_fps: float = 0,
    content_hint: ContentHintName | int | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for a display (the primary one, if none is named), a window or a region of it to be captured.

    `region`: x, y, width, height in pixels of the display or window. `max_fps`: 0 for 15, or 30 with the hint
    "motion". publish_stream sends it. Raises InvalidArgument, NotFound (display, window), ResourceExhausted.
    """
    asked = inputs.screen(
        display_id, window_id=window_id, region=region, hide_cursor=hide_cursor, content_hint=content_hint
    )
    request = StartScreenCaptureRequest(
        source_id=source_id, screen=asked.screen, max_fps=max_fps, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("screen", "StartScreenCapture", request, wait_ms=wait_ms, check=check)


def update_screen_capture(
    source_id: str = "screen",
    *,
    region: Region | None = None,
    hide_cursor: bool | None = None,
    max_fps: float | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Change what is given of a screen that is captured; its streams stay published. `region`: (0, 0, 0, 0) for all.

    Raises InvalidArgument, NotFound (CAPTURE_NOT_FOUND).
    """
    request = UpdateScreenCaptureRequest(
        source_id=source_id,
        region=None if region is None else inputs.screen_region(region),
        hide_cursor=hide_cursor,
        max_fps=max_fps,
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("screen", "UpdateScreenCapture", request, wait_ms=wait_ms, check=check)


def stop_screen_capture(
    source_id: str = "screen", *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Ask for a screen not to be captured. Orders to publish it stay, and wait. NotFound: it was not asked for."""
    request = StopScreenCaptureRequest(source_id=source_id, order=order_options(wait_ms, None, request_id))
    return order_call("screen", "StopScreenCapture", request, wait_ms=wait_ms, check=check)


def list_screen_audio_sources() -> Call[ListScreenAudioSourcesResponse]:
    """The programs of the machine that play sound now. Raises FailedPrecondition (NO_SOUND_SERVER), Unavailable."""
    return Call("screen", "ListScreenAudioSources", ListScreenAudioSourcesRequest(), lambda response: response)


def start_screen_audio_capture(
    source_id: str = "screen_audio",
    *,
    application: str = "",
    binary: str = "",
    process_id: int = 0,
    volume: int | None = None,
    profile: AudioProfileName | int | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for what the machine plays to be captured, without the sound of others in a call; or for what one program
    plays, by its name, binary or process. publish_stream sends it.

    `volume`: percent, 0-400. `profile`: None for "music". Raises InvalidArgument, FailedPrecondition (SOURCE_IS_VIDEO).
    """
    request = StartScreenAudioCaptureRequest(
        source_id=source_id,
        volume=volume,
        profile=enum_value(AudioProfile, profile),
        order=order_options(wait_ms, keep, request_id),
    )
    played = inputs.screen_audio(name=application, binary=binary, process_id=process_id).screen_audio
    if played.HasField("application"):
        request.application.CopyFrom(played.application)
    return order_call("screen", "StartScreenAudioCapture", request, wait_ms=wait_ms, check=check)


def stop_screen_audio_capture(
    source_id: str = "screen_audio", *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Ask for what the machine plays not to be captured. Orders to publish it stay, and wait. NotFound: it was not
    asked for.
    """
    request = StopScreenAudioCaptureRequest(source_id=source_id, order=order_options(wait_ms, None, request_id))
    return order_call("screen", "StopScreenAudioCapture", request, wait_ms=wait_ms, check=check)
