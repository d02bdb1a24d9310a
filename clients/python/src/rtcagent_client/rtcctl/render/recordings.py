"""What `rtcctl record list` shows, and recordings in other lists."""

from rtcagent.v1.recordings_pb2 import ListRecordingsResponse, RecordingFile
from rtcagent.v1.state_pb2 import RecordedTrack, RecordingState, RecordingStatus
from rtcagent.v1.types_pb2 import RecordedStream, RecordingConfig, RecordingContainer

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream, enum_word


def show_recordings(answer: ListRecordingsResponse, screen: Screen) -> None:
    if answer.HasField("cause"):
        screen.line(describe_cause(answer.cause))
    if not answer.recordings:
        screen.line("there is no recording: see rtcctl record start")
        return
    for recording in answer.recordings:
        asked = f" ({config_text(recording.desired.config)})" if recording.HasField("desired") else ""
        state = recording_text(recording.status) if recording.HasField("status") else ""
        if not state:
            state = "WAITING: the engine is being started" if asked else "stopped"
        screen.line(f"{recording.recording_id}: {state}{asked}")
        for file in recording.files:
            screen.line(f"  {file_text(file)}")
            for track in file.tracks:
                screen.line(screen.paint(f"    {track_text(track)}", "dim"))
    screen.line(f"{size(answer.free_bytes)} are free for recordings")


def config_text(config: RecordingConfig) -> str:
    """ "camera, everyone in lobby, mkv, at most 1.5 GB" """
    limits = [
        f"at most {size(config.max_bytes)}" if config.max_bytes else "",
        f"at most {duration(config.max_duration_ms)}" if config.max_duration_ms else "",
    ]
    container = phrases.low(RecordingContainer, config.container)
    return phrases.joined(*map(_stream_text, config.streams), container, *limits)


def recording_text(status: RecordingStatus) -> str:
    """ "RECORDING demo-0001.mkv with 2 tracks", "WAITING: DISK_LOW ..." """
    if status.state == RecordingState.RECORDING_STATE_RECORDING:
        return f"RECORDING {status.file} with {phrases.plural(len(status.tracks), 'track')}"
    cause = f": {describe_cause(status.cause)}" if status.HasField("cause") else ""
    return f"{enum_word(RecordingState, status.state)}{cause}"


def file_text(file: RecordingFile) -> str:
    at = phrases.clock(file.started_at) if file.HasField("started_at") else ""
    return phrases.joined(
        file.file, size(file.size_bytes), duration(file.duration_ms), at, "" if file.is_complete else "not complete"
    )


def track_text(track: RecordedTrack) -> str:
    """ "ann's camera in lobby: 300 frames, 2 dropped" """
    where = f" in {track.room_id}" if track.room_id else ""
    who = f"{track.user_id}'s {describe_remote_stream(track.kind, track.name)}" if track.user_id else track.source_id
    dropped = f", {track.frames_dropped} dropped" if track.frames_dropped else ""
    return f"{who}{where}: {phrases.plural(track.frame_count, 'frame')}{dropped}"


def size(count: int) -> str:
    """ "1.5 GB", in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def duration(ms: int) -> str:
    """ "1:02:03" """
    seconds = ms // 1000
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def _stream_text(stream: RecordedStream) -> str:
    match stream.WhichOneof("of"):
        case "remote":
            remote = stream.remote
            return f"{remote.user_id}'s {describe_remote_stream(remote.kind, remote.name)} in {remote.room_id}"
        case "room_id":
            return f"everyone in {stream.room_id}"
    return stream.source_id
