"""Native media: capture graphs (GStreamer) and the frame path into and out of LiveKit's FFI.

No call here runs Python on a media thread. What happens on media threads is put into an EventQueue, whose `fd` becomes
readable; the event loop drains it. Every call that can wait releases the GIL.
"""

class NativeError(Exception):
    """A native part refused. `args` is (reason, message): a rtcagent.v1 Reason without prefix, and the cause."""

class CameraFormat:
    pixel_format: str  # "YUYV", "NV12", "MJPEG", ...: a name of rtcagent.v1 PixelFormat without prefix, or "OTHER"
    fourcc: str
    width: int
    height: int
    fps: list[float]
    def __init__(self) -> None: ...

class Camera:
    device_id: str
    name: str
    path: str
    usb_port: str
    serial: str
    driver: str
    formats: list[CameraFormat]

def list_cameras() -> list[Camera]:
    """The V4L2 capture devices that are plugged in now.

    Opens each for a moment; a node that cannot be opened is listed without formats.
    """

class CameraIdentity:
    """Who a camera is, whatever number its node has."""

    device_id: str
    name: str
    usb_port: str
    serial: str
    driver: str

def identify_camera(sysfs_root: str, node: str, bus_info: str) -> CameraIdentity:
    """What sysfs says of a node ("video0"); `bus_info` is the driver's word for the place of what is not on USB."""

class CameraChoice:
    """The format that a camera is opened in; "" and 0 leave it to the driver."""

    pixel_format: str
    width: int
    height: int
    fps: float

def choose_camera_format(formats: list[CameraFormat], settings: CaptureSettings) -> CameraChoice:
    """The one that suits the output best within what is asked; NativeError FORMAT_UNSUPPORTED when there is none."""

def gstreamer_version() -> str: ...
def missing_elements() -> list[str]:
    """GStreamer elements that capturing needs and this machine lacks."""

class Event:
    """Something that happened on a media thread."""

    key: str  # the source_id or "room_id/source_id" that the object was made with
    kind: str  # "first_frame" | "format" | "failed" | "ended" | "hidden" | "shown"
    width: int
    height: int
    fps: float
    reason: str  # of "failed": the name of a rtcagent.v1 Reason without prefix
    message: str

class EventQueue:
    def __init__(self) -> None: ...
    fd: int  # an eventfd, readable while events wait
    def drain(self) -> list[Event]: ...

class Rect:
    """Pixels. Of size 0x0: all of what it is a part of."""

    x: int
    y: int
    width: int
    height: int
    def __init__(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> None: ...

class ScreenEntry:
    """A display or a window that can be captured."""

    is_window: bool
    id: str  # of a window "0x1c00007.1a2b3c4d", its number and its tag
    title: str
    application: str
    area: Rect
    is_primary: bool
    is_minimised: bool
    thumbnail: bytes  # PNG

def list_screens(display: str, thumbnail_width: int) -> list[ScreenEntry]:
    """What an X server's screens have; 0: no thumbnails. NativeError NO_DISPLAY."""

class CaptureSettings:
    """One source: exactly one of device_path, rtsp_url, file_path, pattern, x11_display and pipewire_node is set.

    Capture raises ValueError for settings that cannot be.
    """

    device_path: str  # /dev/video0
    pixel_format: str  # "" chooses
    device_width: int  # 0 chooses, to suit the output
    device_height: int
    device_fps: float
    rtsp_url: str
    rtsp_latency_ms: int
    file_path: str
    loop: bool
    pattern: str  # "bars_and_clock" | "bars" | "ball" | "noise"
    x11_display: str  # as in $DISPLAY
    monitor: str  # "": the primary one
    window: int  # instead of a monitor
    window_tag: str  # "": whichever window has the number
    pipewire_fd: int  # the caller's, used while the capture starts
    pipewire_node: int
    region: Rect  # of the screen; as encoders want it, its size is made even
    pointer: bool
    width: int  # of the output; 0 follows the input
    height: int
    fps: float
    rotation: int  # 0, 90, 180, 270, clockwise
    mirror: bool
    def __init__(self) -> None: ...

class CaptureStats:
    frames_captured: int
    frames_dropped: int  # lost before or in the graph; not those left out to reach `fps`
    longest_gap_us: int
    fps: float  # over the last second
    max_fps: float  # as its pictures announce it
    width: int
    height: int

class Snapshot:
    image: bytes
    width: int
    height: int
    captured_at_us: int  # wall clock, microseconds since the epoch

class Capture:
    """One open source. Its frames go to the sinks that are attached, on GStreamer's thread.

    After `start`, events with its key tell "first_frame" (then frames flow), "format" (their size changed), "failed"
    and "ended"; after the last two, only stop() is left to call.
    """

    def __init__(self, key: str, settings: CaptureSettings, events: EventQueue) -> None: ...
    def set_slate(self, slate: Slate | None) -> None:
        """Before start: what is shown, without Python's help, from its failure or end on, until a next first frame."""

    def start(self) -> None:
        """Open the source; NativeError when it cannot be. Waits for the device, not for a frame.

        What shows only later (a server that does not answer, a file that is no media) comes as the event "failed". A
        stopped capture may start again.
        """

    def stop(self) -> None:
        """Close the source and join its threads; afterwards nothing of it calls a sink. Any number of times."""

    def update(self, settings: CaptureSettings) -> bool:
        """Another region, pointer or rate of a screen that is captured. False: that needs a capture of its own."""

    def attach(self, sink: FrameSink | VideoTap | VideoRecordTap) -> None: ...
    def detach(self, sink: FrameSink | VideoTap | VideoRecordTap) -> None:
        """After this returns no frame of this capture goes to the sink. Unknown sinks are ignored."""

    def stats(self) -> CaptureStats: ...
    def snapshot(self, image_format: str, mirrored: bool = False) -> Snapshot | None:
        """The newest frame as "png" or "jpeg"; None before the first one."""

class SlateSettings:
    title: str
    text: str
    picture_path: str  # PNG or JPEG, in place of title, text and time; "" for none
    width: int
    height: int
    def __init__(self) -> None: ...

class Slate:
    """What is shown of a source without pictures: its frames go to the sinks while it is shown, five a second.

    An event with its key, "failed" (FILE_INVALID), says that the picture cannot be read; title and text stand in then.
    """

    def __init__(self, key: str, settings: SlateSettings, events: EventQueue) -> None: ...
    def show(self) -> None: ...
    def hide(self) -> None:
        """After this returns no frame of it goes to a sink, until it is shown again."""

    is_shown: bool
    size: tuple[int, int]  # of the newest capture's frames; before that, of the settings
    def attach(self, sink: FrameSink) -> None: ...
    def detach(self, sink: FrameSink) -> None:
        """After this returns no frame of it goes to the sink. Unknown sinks are ignored."""

    def close(self) -> None:
        """Hide it for good, and join its thread."""

class AudioSettings:
    """One source of sound: a microphone, unless file_path, tone_hz or plays is set.

    AudioCapture raises ValueError for settings that cannot be.
    """

    device: str  # the sound server's name of the microphone; "": its default one, also when that changes
    file_path: str
    loop: bool
    plays: bool  # what the machine plays
    application: str  # of that: one program alone, as it tells the sound server of itself; "" is not compared
    binary: str
    process_id: str
    tone_hz: float  # 20-20000
    tone_level_dbfs: float  # of its peaks
    channels: int  # 1 or 2
    def __init__(self) -> None: ...

class AudioLevel:
    """Of the last tenth of a second."""

    peak_dbfs: float  # -127 to 0
    rms_dbfs: float
    linear: int  # of the RMS, 0-255: 255 is full scale

class AudioCaptureStats:
    frames_captured: int  # of 10 ms
    longest_gap_us: int
    fps: float  # over the last second

class AudioProcessor:
    """libwebrtc's processing of one microphone's sound. Owner of the module, which it gives back to the FFI."""

    def __init__(self, ffi: Ffi, module_handle: int, cancels_echo: bool) -> None:
        """`cancels_echo`: it takes what is played, as EchoReference tells it."""

class AudioCapture:
    """One open source of sound, in frames of 10 ms; processed, then scaled by the volume, measured, and handed on.

    Events with its key: as of Capture, and "device" with the name of the microphone in use as its message.
    """

    def __init__(self, key: str, settings: AudioSettings, events: EventQueue) -> None: ...
    def start(self) -> None:
        """Open the source; NativeError when it cannot be. Waits for the device, not for a frame."""

    def stop(self) -> None:
        """Close the source and join its threads; afterwards nothing of it calls a sink. Any number of times."""

    def attach(self, sink: AudioSink | AudioRecordTap) -> None: ...
    def detach(self, sink: AudioSink | AudioRecordTap) -> None:
        """After this returns no frame of this capture goes to the sink. Unknown sinks are ignored."""

    def set_processing(self, processor: AudioProcessor | None) -> None:
        """In force from the next frame on. A processor belongs to one capture."""

    def set_volume(self, percent: int) -> None:
        """0-400; 100 is as it is."""

    def stats(self) -> AudioCaptureStats: ...
    def level(self) -> AudioLevel: ...

class AudioSinkStats:
    frames_pushed: int
    frames_gated: int
    longest_gap_us: int
    last_pushed_us: int  # on the monotonic clock; 0: none was

class AudioSink:
    """Hands sound to one LiveKit audio source, which must have no queue. Closed until `set_open(True)`: the last gate.

    Events with its key: "first_frame" once, and "failed" (INTERNAL) when LiveKit begins to refuse frames.
    """

    def __init__(self, key: str, ffi: Ffi, source_handle: int, channels: int, events: EventQueue) -> None: ...
    def set_open(self, is_open: bool) -> None:
        """After set_open(False) returns no further frame is handed on."""

    def stats(self) -> AudioSinkStats: ...

def push_echo_reference(samples: bytes, rate: int, channels: int) -> None:
    """10 ms of what is played, for the echo cancellers; the native mixer gives it without Python."""

class FrameSinkStats:
    frames_pushed: int
    frames_gated: int
    longest_gap_us: int
    slate_frames_pushed: int  # in no other number
    last_pushed_us: int  # of both, on the monotonic clock; 0: none was

class FrameSink:
    """Hands frames to one LiveKit video source. Closed until `set_open(True)`: the last gate before a frame leaves.

    Events with its key: "first_frame" once, and "failed" (INTERNAL) when LiveKit begins to refuse frames.
    """

    def __init__(self, key: str, ffi: Ffi, source_handle: int, events: EventQueue) -> None: ...
    def set_open(self, is_open: bool) -> None:
        """After set_open(False) returns no further frame is handed on."""

    def stats(self) -> FrameSinkStats: ...

class RemoteLevel:
    """How loud sound was since one looked last; -127 dBFS is silence."""

    rms_dbfs: float
    peak_dbfs: float
    voice: bool
    frames: int  # of 10 ms; 0: nothing came

class MixerInputStats:
    frames: int  # of 10 ms, that came
    gaps: int  # times that nothing was there to play after something was
    dropped: int  # 10 ms each, left out because too much waited
    waiting_ms: int

class MixerInput:
    """One stream on its way into a mixer."""

    def push(self, samples: bytes, channels: int) -> None:
        """Interleaved 16 bit at 48 kHz; for tests, as frames come natively."""

    def set_gain(self, gain: float) -> None: ...
    def tell_first(self, key: str, events: EventQueue) -> None:
        """Put the event "first_frame" into the queue once the first sound has come."""

    def level(self) -> RemoteLevel: ...
    def stats(self) -> MixerInputStats: ...

class AudioMixer:
    """Adds up the sound of others, each with a gain of 0-4, at 48 kHz in stereo."""

    def __init__(self) -> None: ...
    def add(self) -> MixerInput: ...
    def remove(self, input: MixerInput) -> None: ...
    def set_gain(self, gain: float) -> None: ...
    def set_tone(self, frequency: float, amplitude: float) -> None:
        """A test tone beside the rest; an amplitude of 0 ends it."""

    def mix(self) -> bytes:
        """The next 10 ms; for tests, as an output takes them natively."""

class OutputStats:
    frames: int  # of 10 ms, that were taken from the mixer
    longest_gap_us: int

class AudioOutput:
    """Plays what a mixer gives on a speaker of the sound server; an event "failed" of its key tells when it ends."""

    def __init__(
        self,
        *,
        key: str,
        device: str,
        stream: str,
        description: str,
        buffer_ms: int,
        is_reference: bool,
        mixer: AudioMixer,
        events: EventQueue,
    ) -> None: ...
    def start(self) -> None:
        """Returns when it plays; NativeError CAPTURE_FAILED when it cannot. Waits for the sound server."""

    def stop(self) -> None: ...
    def stats(self) -> OutputStats: ...

class Ffi:
    """The entry points of the loaded liblivekit_ffi, by address."""

    def __init__(self, request_address: int, drop_handle_address: int) -> None: ...

class ReceivedStats:
    frames_received: int
    width: int
    height: int
    longest_gap_us: int

class ReceivedFrames:
    """Takes every frame event, video and audio, out of the FFI's event callback, before Python sees it; passes all else
    on.

    The rest goes on in order, from a thread of its own: an FFI thread that waited for the GIL would hold up the frames
    behind it. Frames of streams that nobody watches are released at once. There is one for the process: making it again
    with the same addresses gives the same, with others it is refused (NativeError INTERNAL).
    """

    def __init__(self, ffi: Ffi, python_callback_address: int) -> None: ...
    callback_address: int  # to be given to livekit_ffi_initialize in place of the Python callback
    def watch(self, stream_handle: int) -> None: ...
    def unwatch(self, stream_handle: int) -> None: ...
    def listen(self, stream_handle: int, input: MixerInput) -> None:
        """The sound of an audio stream goes into the mixer, until unlisten."""

    def unlisten(self, stream_handle: int) -> None: ...
    def attach(self, stream_handle: int, tap: VideoTap | VideoRecordTap) -> None:
        """Give the stream's pictures to `tap` too, beginning with the newest one."""

    def detach(self, stream_handle: int, tap: VideoTap | VideoRecordTap) -> None:
        """One picture that is on its way may still come to `tap`."""
    def attach_sound(self, stream_handle: int, tap: AudioRecordTap) -> None:
        """As attach, of a stream that `listen` was called for."""

    def detach_sound(self, stream_handle: int, tap: AudioRecordTap) -> None: ...
    def stats(self, stream_handle: int) -> ReceivedStats | None: ...
    def snapshot(self, stream_handle: int, image_format: str) -> Snapshot | None: ...

class VideoRecordTap:
    """Between a capture or a received stream and the files of a recording, one after another.

    Event with its key: "first_frame", at the first picture and at the first after `forget_newest`.
    """

    def __init__(self, key: str, events: EventQueue) -> None: ...
    def forget_newest(self) -> None:
        """Nothing comes any more, and the newest picture does not stand for it."""

class AudioRecordTap:
    """As VideoRecordTap, of sound. Event: "first_frame"."""

    def __init__(self, key: str, events: EventQueue) -> None: ...

class RecordedTrackSpec:
    """A track of a file: the tap that feeds it, its title, and its tags by name."""

    def __init__(self, tap: VideoRecordTap | AudioRecordTap, title: str, tags: list[tuple[str, str]]) -> None: ...

class RecordedStats:
    frames: int  # encoded; of sound: of 10 ms
    dropped: int  # that came while too many waited for the encoder or the disk

class RecordingStats:
    bytes: int
    duration_us: int
    tracks: list[RecordedStats]

class RecordingPart:
    """One file of a recording. Events with its key: "failed" (DISK_LOW, FOLDER_UNUSABLE), "limit" with "bytes" or
    "duration" as message; after either nothing more is written, and `stop` is called all the same.
    """

    def __init__(
        self,
        *,
        key: str,
        path: str,
        title: str,
        is_mp4: bool,
        max_bytes: int,
        max_duration_us: int,
        min_free_bytes: int,
        tracks: list[RecordedTrackSpec],
        events: EventQueue,
    ) -> None: ...
    def start(self) -> None:
        """From here on the taps feed this file, and no other. Waits: not for the loop's thread."""

    def stop(self) -> None:
        """Complete the file. Waits."""

    def stats(self) -> RecordingStats: ...

class VideoTap:
    """The newest picture of one stream, between a capture or a received stream and the canvas that shows it.

    Events with its key: "first_frame" when the first picture has come onto a display, "format" when one of another size
    has. After `clear` it begins anew.
    """

    def __init__(self, key: str, events: EventQueue) -> None: ...
    def clear(self) -> None:
        """Show the canvas's background until the next picture comes."""

class DisplayInfo:
    """A monitor, in pixels."""

    display_id: str
    kind: str  # "X11" or "WAYLAND"
    description: str
    x: int
    y: int
    width: int
    height: int
    has_geometry: bool
    has_order: bool
    missing: str  # the protocol for want of which it lacks the two
    is_primary: bool  # of X11 only

class CanvasSpec:
    """How one canvas is to be drawn."""

    canvas_id: str
    display: str
    fit: str  # "fit", "fill", "stretch"; "auto": fill where little is cut off, else fit
    mirror: bool
    background_rgb: int
    tap: VideoTap | None
    label: str  # a name, at the lower left
    title: str  # in the middle while there is no picture; one or two letters are set in a disc
    border_rgb: int
    border: int  # pixels
    def __init__(self) -> None: ...
    def set_rect(self, x: int, y: int, width: int, height: int) -> None: ...

class StageStats:
    presented: int  # times that something was put onto a display
    latency_us: int  # from a picture's capture or decoding until the display server had it; of the newest one

class CanvasStage:
    """Draws on all displays of one display server, in a thread of its own.

    Connects when it is made: NativeError NO_DISPLAY when that fails. `wayland` and `x11` are addresses; with neither,
    the environment's. Events with its key: "displays" when they have changed, "failed" when the connection is lost.
    """

    def __init__(self, key: str, wayland: str, x11: str, events: EventQueue) -> None: ...
    def displays(self) -> list[DisplayInfo]: ...
    def set_scene(self, canvases: list[CanvasSpec]) -> None:
        """What is to be seen, from the bottom to the top; what was there before goes."""

    def stats(self) -> StageStats: ...
    def stop(self) -> None:
        """Take everything away and join the thread. Any number of times."""
