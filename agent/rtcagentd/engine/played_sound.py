"""The programs of this machine that play sound, as something that can be shared."""

from rtcagent.v1 import screen_pb2 as screen
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.pulse import PlayedStream, Pulse, PulseUnreachable


async def list_sources(pulse: Pulse) -> screen.ListScreenAudioSourcesResponse:
    """Those that play now. EngineError NO_SOUND_SERVER."""
    try:
        played = await pulse.played()
    except PulseUnreachable as error:
        raise EngineError(types.REASON_NO_SOUND_SERVER, str(error)) from error
    sources = [_source(each) for each in played if not _is_filter(each)]
    sources.sort(key=lambda each: (each.application.name, each.application.process_id, each.title))
    return screen.ListScreenAudioSourcesResponse(sources=sources)


def _source(stream: PlayedStream) -> screen.ScreenAudioSource:
    properties = stream.properties
    process_id = properties.get("application.process.id", "")
    return screen.ScreenAudioSource(
        application=types.SoundApplication(
            name=properties.get("application.name", ""),
            binary=properties.get("application.process.binary", ""),
            process_id=int(process_id) if process_id.isdecimal() and int(process_id) < 1 << 32 else 0,
        ),
        title=properties.get("media.name", ""),
        device_id=stream.speaker,
        muted=stream.is_muted,
        paused=stream.is_paused,
    )


def _is_filter(stream: PlayedStream) -> bool:
    """What plays on for others: see bindings/media/played_streams.cpp, which leaves out the same."""
    properties = stream.properties
    is_module = "application.process.id" not in properties and properties.get("media.role") == "filter"
    return is_module or "node.link-group" in properties
