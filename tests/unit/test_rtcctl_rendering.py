"""What people see: the state with its differences at a glance, and a readable line for every event."""

import io
from datetime import UTC, datetime

import pytest
from google.protobuf import text_format
from rtcagent.v1.agent_pb2 import GetAgentResponse, GetStateResponse
from rtcagent.v1.capture_pb2 import GetCaptureStatsResponse
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.rooms_pb2 import ListRoomsResponse
from rtcagent.v1.state_pb2 import SoundStatus
from rtcagent.v1.types_pb2 import Device
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.render.capture import show_stats
from rtcagent_client.rtcctl.render.devices import show_devices
from rtcagent_client.rtcctl.render.events import SUMMARIES, event_line
from rtcagent_client.rtcctl.render.rooms import show_rooms
from rtcagent_client.rtcctl.render.state import show_state
from rtcagent_client.rtcctl.screen import Screen

AGENT = GetAgentResponse(name="kiosk-7", version="0.1.0")
ENGINE = 'engine { state: ENGINE_STATE_RUNNING kind: "livekit" version: "1.2.1" generation: 3 pid: 42 }'


STATE = """\
kiosk-7  rtcagentd 0.1.0  engine livekit 1.2.1 RUNNING (generation 3, pid 42)
5 of 7 are not as asked for

SOURCES        ASKED FOR                                         IS
= camera       test picture, 1280x720 30 fps, mirrored, forever  CAPTURING 1280x720 30 fps, test picture
~ door         slot door-cam, turned 90°, this boot              WAITING
    why: DEVICE_ABSENT no device of slot 'door-cam' is plugged in

ROOM demo      ASKED FOR                                         IS
= in it        in the room as kiosk, forever                     JOINED as kiosk, since 10:01:01, good connection
= send camera  published (auto)                                  PUBLISHED, VP8, muted
~ send door    published, H264, 2 Mbit/s, simulcast              WAITING
    why: SOURCE_NOT_CAPTURED the source is not captured
  user ann                                                       in the room, poor connection
    camera                                                       SUBSCRIBED, 640x360
~   screen     received                                          WAITING
      why: STREAM_NOT_PUBLISHED ann publishes no such stream

ROOM lab       ASKED FOR                                         IS
! in it        in the room, until alone for 60 s                 REFUSED, wss://lab.example
    why: TOKEN_REJECTED the token has expired: give a new one

OTHER          ASKED FOR                                         IS
~ slot x       -                                                 WAITING
    why: INTERNAL odd

1 device and 1 absent; revision 12, event 381 of log 01234567
"""


@pytest.fixture
def screen() -> Screen:
    return Screen(as_json=False, out=io.StringIO())


@pytest.fixture(autouse=True)
def _times_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "clock", lambda at: datetime.fromtimestamp(at.seconds, UTC).strftime("%H:%M:%S"))


def shown(screen: Screen) -> str:
    assert isinstance(screen.out, io.StringIO)
    return screen.out.getvalue()


def test_state_with_differences(screen: Screen) -> None:
    state = text_format.Parse(
        f"""
        desired {{
          revision: 12
          captures {{
            source_id: "camera"
            config {{ input {{ test_pattern {{ }} }} output {{ width: 1280 height: 720 max_fps: 30 }} mirror: true }}
            order {{ keep {{ kind: KIND_FOREVER }} }}
          }}
          captures {{
            source_id: "door" config {{ input {{ camera {{ slot: "door-cam" }} }} rotation: ROTATION_90 }}
            order {{ keep {{ kind: KIND_THIS_BOOT }} }}
          }}
          rooms {{ config {{ room_id: "demo" user_id: "kiosk" }} order {{ keep {{ kind: KIND_FOREVER }} }} }}
          rooms {{ config {{ room_id: "lab" }} order {{ keep {{ kind: KIND_UNTIL_ALONE alone_s: 60 }} }} }}
          streams {{
            room_id: "demo" source_id: "door" published: true
            encoder {{ codec: VIDEO_CODEC_H264 max_bitrate_bps: 2000000 simulcast: true }}
          }}
          subscriptions {{ room_id: "demo" user_id: "ann" kind: STREAM_KIND_SCREEN subscribed: true }}
        }}
        reported {{
          {ENGINE}
          captures {{
            source_id: "camera" state: CAPTURE_STATE_CAPTURING
            format {{ width: 1280 height: 720 max_fps: 30 }} input: "test picture"
          }}
          captures {{ source_id: "door" state: CAPTURE_STATE_WAITING }}
          rooms {{
            room_id: "demo" state: ROOM_STATE_JOINED user_id: "kiosk" quality: CONNECTION_QUALITY_GOOD
            joined_at {{ seconds: 36061 }}
            publications {{
              room_id: "demo" source_id: "camera" state: PUBLICATION_STATE_PUBLISHED muted: true
              first_frame_sent: true encoder {{ codec: VIDEO_CODEC_VP8 }}
            }}
            publications {{ room_id: "demo" source_id: "door" state: PUBLICATION_STATE_WAITING }}
            users {{
              user_id: "ann" quality: CONNECTION_QUALITY_POOR
              streams {{
                kind: STREAM_KIND_CAMERA name: "camera" width: 640 height: 360
                subscription: SUBSCRIPTION_STATE_SUBSCRIBED
              }}
            }}
          }}
          rooms {{ room_id: "lab" state: ROOM_STATE_REFUSED server_url: "wss://lab.example" }}
          devices {{ device_id: "a" present: true }}
          devices {{ device_id: "b" }}
        }}
        position {{ log_id: "0123456789abcdef" seq: 381 }}
        differences {{
          object {{ source_id: "door" }} kind: KIND_WAITING
          cause {{ reason: REASON_DEVICE_ABSENT message: "no device of slot 'door-cam' is plugged in" }}
        }}
        differences {{
          object {{ stream {{ room_id: "demo" source_id: "door" }} }} kind: KIND_WAITING
          cause {{ reason: REASON_SOURCE_NOT_CAPTURED message: "the source is not captured" }}
        }}
        differences {{
          object {{ remote_stream {{ room_id: "demo" user_id: "ann" kind: STREAM_KIND_SCREEN }} }} kind: KIND_WAITING
          cause {{ reason: REASON_STREAM_NOT_PUBLISHED message: "ann publishes no such stream" }}
        }}
        differences {{
          object {{ room_id: "lab" }} kind: KIND_REFUSED
          cause {{ reason: REASON_TOKEN_REJECTED message: "the token has expired: give a new one" }}
        }}
        differences {{ object {{ slot: "x" }} kind: KIND_WAITING cause {{ reason: REASON_INTERNAL message: "odd" }} }}
        """,
        GetStateResponse(),
    )
    show_state(state, AGENT, screen)
    assert shown(screen) == STATE


def test_state_of_a_fresh_agent(screen: Screen) -> None:
    state = text_format.Parse(f'reported {{ {ENGINE} }} position {{ log_id: "abc" seq: 3 }}', GetStateResponse())
    show_state(state, AGENT, screen)
    assert "nothing is asked for: see rtcctl join, rtcctl camera on\n" in shown(screen)


def test_rooms(screen: Screen) -> None:
    rooms = text_format.Parse(
        """
        rooms {
          room_id: "demo" state: ROOM_STATE_JOINED user_id: "kiosk" server_url: "ws://x"
          join_type: JOIN_TYPE_RECONNECTED
          publications { source_id: "camera" state: PUBLICATION_STATE_PUBLISHED encoder { max_bitrate_bps: 800000 } }
          users { user_id: "ann" streams { kind: STREAM_KIND_OTHER_VIDEO name: "drone" muted: true } }
        }
        rooms {
          room_id: "lab" state: ROOM_STATE_WAITING attempt_count: 2
          cause { reason: REASON_SERVER_UNREACHABLE message: "no answer" }
        }
        """,
        ListRoomsResponse(),
    )
    show_rooms(rooms.rooms, screen)
    assert shown(screen) == (
        "demo: JOINED again as kiosk on ws://x\n"
        "  send camera          PUBLISHED, 800 kbit/s\n"
        "  user ann\n"
        "    other video drone  published, muted\n"
        "lab: WAITING, 2 tries failed: SERVER_UNREACHABLE no answer\n"
    )


def test_devices(screen: Screen) -> None:
    device = text_format.Parse(
        """
        device_id: "usb-1" name: "Webcam" path: "/dev/video0" present: true usb_port: "1-2"
        formats { pixel_format: PIXEL_FORMAT_MJPEG width: 1920 height: 1080 fps: 30 fps: 15 }
        formats { pixel_format: PIXEL_FORMAT_YUYV width: 640 height: 480 fps: 30 }
        """,
        Device(),
    )
    show_devices([device, Device(device_id="usb-2", name="Old")], SoundStatus(), screen, with_formats=False)
    assert shown(screen) == (
        "CAMERA  NAME    WHERE        USB PORT  LARGEST FORMAT\n"
        "usb-1   Webcam  /dev/video0  1-2       1920x1080 30 fps MJPEG\n"
        "usb-2   Old     absent       -         -\n"
    )


def test_devices_of_sound(screen: Screen) -> None:
    desk = Device(device_id="in-1", kind=Device.KIND_MICROPHONE, name="Desk", present=True, alsa_card="C920")
    hall = Device(device_id="out-1", kind=Device.KIND_SPEAKER, name="Hall", present=True, is_default=True)
    sound = SoundStatus(connected=True, server="pulseaudio 16.1")
    show_devices([desk, hall], sound, screen, with_formats=False)
    assert shown(screen) == (
        "there is no camera; `rtcctl camera on --test-pattern` captures a test picture\n"
        "\n"
        "MICROPHONE  NAME  WHERE  USB PORT  ALSA CARD\n"
        "in-1        Desk  here   -         C920\n"
        "\n"
        "SPEAKER  NAME  WHERE  USB PORT  ALSA CARD\n"
        "out-1    Hall  here   -         -          default\n"
        "\n"
        "sound through pulseaudio 16.1\n"
    )


def test_bare_alsa_is_said_so(screen: Screen) -> None:
    sound = SoundStatus(problem="no sound server answers", alsa_cards=["PCH"])
    show_devices([], sound, screen, with_formats=False)
    text = shown(screen)
    assert "no sound: no sound server answers (cards without it: PCH)" in text
    assert "with bare ALSA nothing of sound works" in text


def test_stats(screen: Screen) -> None:
    stats = text_format.Parse(
        """
        sources { source_id: "camera" frames_captured: 300 frames_dropped: 1 longest_gap_us: 40500 fps: 29.97 }
        publications { room_id: "demo" source_id: "camera" frames_pushed: 290 frames_gated: 9 longest_gap_us: 33000 }
        """,
        GetCaptureStatsResponse(),
    )
    show_stats(stats, screen)
    assert shown(screen) == (
        "SOURCE  FPS   CAPTURED  DROPPED  LONGEST GAP\n"
        "camera  30.0  300       1        40 ms\n"
        "SENT INTO    PUSHED  HELD BACK  LONGEST GAP\n"
        "demo/camera  290     9          33 ms\n"
    )


EVENTS = {
    "playback_state_changed": (
        'playback { state: PLAYBACK_STATE_PLAYING device_id: "tv" volume: 80 cause { reason: REASON_DEVICE_ABSENT } }',
        "speaker: PLAYING on tv, 80 %: DEVICE_ABSENT",
    ),
    "active_speaker_changed": ('room_id: "demo" user_id: "ann"', "ann speaks in demo"),
    "agent_started": ('version: "0.1.0" revision: 7', "rtcagentd 0.1.0, revision 7"),
    "agent_stopping": ("", ""),
    "engine_state_changed": (
        'engine { state: ENGINE_STATE_FAILED kind: "livekit" cause { reason: REASON_ENGINE_LOST message: "killed" } }',
        "livekit FAILED: ENGINE_LOST killed",
    ),
    "error_occurred": ('cause { reason: REASON_INTERNAL message: "odd" }', "INTERNAL odd"),
    "desired_state_changed": (
        'revision: 7 method: "JoinRoom" controller { identity: "local" } objects { room_id: "demo" }',
        "JoinRoom by local: room demo (revision 7)",
    ),
    "order_ended": (
        'object { room_id: "demo" } keep { kind: KIND_UNTIL_ALONE alone_s: 60 } '
        'cause { reason: REASON_KEEP_ENDED message: "alone" }',
        "room demo: until alone for 60 s: KEEP_ENDED alone",
    ),
    "device_added": (
        'device { device_id: "usb-1" name: "Webcam" path: "/dev/video0" present: true }',
        "usb-1: Webcam at /dev/video0",
    ),
    "device_removed": ('device_id: "usb-1"', "usb-1"),
    "sound_status_changed": ('sound { connected: true server: "pulseaudio 16.1" }', "sound through pulseaudio 16.1"),
    "capture_state_changed": (
        'capture { source_id: "camera" state: CAPTURE_STATE_CAPTURING format { width: 640 height: 360 } '
        'input: "file" }',
        "capture camera: CAPTURING 640x360, file",
    ),
    "screen_state_changed": (
        'screen { source_id: "screen" minimised: true }',
        "screen screen: its window is minimised, its last picture is sent",
    ),
    "room_state_changed": (
        'room { room_id: "demo" state: ROOM_STATE_JOINED user_id: "kiosk" join_type: JOIN_TYPE_FIRST }',
        "room demo: JOINED as kiosk",
    ),
    "user_joined": ('room_id: "demo" user { user_id: "ann" }', "ann in demo"),
    "user_left": (
        'room_id: "demo" user_id: "ann" cause { reason: REASON_USER_DROPPED message: "no life" }',
        "ann from demo: USER_DROPPED no life",
    ),
    "user_info_changed": ('room_id: "demo" user_id: "ann" name: "Ann" extra_info: "{}"', "ann in demo (Ann) {}"),
    "connection_quality_changed": (
        'room_id: "demo" user_id: "ann" quality: CONNECTION_QUALITY_POOR',
        "ann's connection in demo: poor",
    ),
    "stream_published": (
        'room_id: "demo" user_id: "ann" stream { kind: STREAM_KIND_CAMERA width: 640 height: 360 muted: true }',
        "ann's camera in demo 640x360, muted",
    ),
    "stream_unpublished": ('room_id: "demo" user_id: "ann" kind: STREAM_KIND_SCREEN', "ann's screen in demo"),
    "stream_muted": (
        'room_id: "demo" user_id: "ann" kind: STREAM_KIND_MICROPHONE muted: true',
        "ann's microphone in demo: muted",
    ),
    "subscription_state_changed": (
        'room_id: "demo" user_id: "ann" kind: STREAM_KIND_CAMERA subscription: SUBSCRIPTION_STATE_REFUSED '
        'cause { reason: REASON_NO_PERMISSION message: "may not" }',
        "ann's camera in demo: REFUSED: NO_PERMISSION may not",
    ),
    "publication_state_changed": (
        'publication { room_id: "demo" source_id: "camera" state: PUBLICATION_STATE_PUBLISHED muted: true }',
        "stream demo/camera: PUBLISHED, muted",
    ),
    "message_received": (
        'message { room_id: "demo" user_id: "ann" topic: "ring" text: "hello\\nthere" } unlogged_count: 2',
        "ann in demo [ring]: hello ⏎ there (2 before it are not in the log)",
    ),
    "token_will_expire": (
        'room_id: "demo" user_id: "kiosk" expires_at { seconds: 30 }',
        f"the token of kiosk for room demo expires at {datetime.fromtimestamp(30):%H:%M:%S}",
    ),
    "canvas_state_changed": (
        'canvas { canvas_id: "caller" state: CANVAS_STATE_WAITING cause { reason: REASON_NO_DISPLAY } }',
        "canvas caller: WAITING: NO_DISPLAY",
    ),
    "recording_state_changed": (
        'recording { recording_id: "shift" state: RECORDING_STATE_RECORDING file: "shift-0002.mkv" tracks { } }',
        "recording shift: RECORDING shift-0002.mkv with 1 track",
    ),
    "recording_deleted": ('recording_id: "shift" files: "shift-0001.mkv"', "recording shift: shift-0001.mkv"),
    "displays_changed": (
        'displays { displays { display_id: "HDMI-1" width: 1920 height: 1080 has_layout: true } }',
        "HDMI-1 1920x1080 (default layout)",
    ),
    "first_remote_frame": (
        'room_id: "demo" user_id: "ann" kind: STREAM_KIND_CAMERA name: "camera" width: 640 height: 360',
        "ann's camera in demo 640x360 on the default layout",
    ),
    "first_remote_audio_frame": (
        'room_id: "demo" user_id: "ann" kind: STREAM_KIND_MICROPHONE name: "mic"',
        "ann's microphone mic in demo is heard",
    ),
    "remote_size_changed": (
        'room_id: "demo" user_id: "ann" kind: STREAM_KIND_CAMERA name: "camera" width: 320 height: 180',
        "ann's camera in demo: 320x180",
    ),
    "first_frame_sent": ('room_id: "demo" source_id: "camera" width: 640 height: 360', "stream demo/camera: 640x360"),
    "stream_republished": (
        'room_id: "demo" source_id: "microphone" gap_ms: 140',
        "stream demo/microphone: nothing of it was sent for 140 ms",
    ),
}


def test_every_event_has_a_summary() -> None:
    types = {field.name for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields}
    assert set(SUMMARIES) == set(EVENTS) == types


@pytest.mark.parametrize("kind", EVENTS)
def test_event_lines(screen: Screen, kind: str) -> None:
    content, expected = EVENTS[kind]
    event = text_format.Parse(f"seq: 381 at {{ nanos: 123000000 }} {kind} {{ {content} }}", Event())
    seq, time, name, *words = event_line(event, screen).split()
    assert (seq, name, " ".join(words)) == ("381", kind, expected)
    assert time.endswith(":00.123")


def test_control_characters_of_others_do_not_reach_the_terminal(screen: Screen) -> None:
    event = text_format.Parse('seq: 1 user_joined { room_id: "demo" user { user_id: "a\\033]0;x\\007b" } }', Event())
    screen.line(event_line(event, screen))
    assert "\x1b" not in shown(screen)
    assert "\x07" not in shown(screen)
