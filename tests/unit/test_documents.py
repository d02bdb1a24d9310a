"""The desired state as a file: the same state gives the same text, and every mistake is told with its line."""

import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from rtcagent.v1.state_pb2 import DesiredState
from rtcagent.v1.types_pb2 import Rotation, StreamKind, VideoInput
from rtcagent_client.documents import PARTS, DocumentError, read, to_json, to_yaml

STATE = text_format.Parse(
    """
    revision: 7
    rooms {
      config { room_id: "demo" user_id: "kiosk" extra_info: '{"seat": 4, "where": "Küche"}'
               profile: ROOM_PROFILE_MEETING auto_publish: false }
      has_token: true
      order { revision: 7 at { seconds: 1 } controller { identity: "ann" } keep { kind: KIND_FOREVER } }
    }
    captures {
      source_id: "0123"
      config { input { camera { slot: "front" format { width: 640 height: 480 max_fps: 29.97 } } }
               output { width: 1280 height: 720 max_fps: 30 } rotation: ROTATION_90 kind: STREAM_KIND_SCREEN_AUDIO }
      order { revision: 3 }
    }
    captures { source_id: "test" config { input { test_pattern { } } } }
    streams { room_id: "demo" source_id: "0123" published: false muted: true encoder { codec: VIDEO_CODEC_H264 } }
    slots { slot { name: "front" matches { serial: "00e1" } matches { usb_port: "1-2" } } }
    playback { volume: 0 }
    canvases {
      canvas_id: "caller"
      config {
        remote { room_id: "demo" user_id: "ann" kind: STREAM_KIND_SCREEN }
        place { geometry { x: -8 width: 640 height: 360 } fit: FIT_MODE_FILL background_rgb: 65280 }
      }
    }
    layouts { display: "HDMI-1" mode: LAYOUT_MODE_OFF }
    recordings {
      recording_id: "shift"
      config { streams { source_id: "test" } streams { room_id: "demo" }
        container: RECORDING_CONTAINER_MP4 max_bytes: 2000000 }
    }
    """,
    DesiredState(),
)

YAML = """\
rooms:
- config:
    room_id: demo
    user_id: kiosk
    extra_info: '{"seat": 4, "where": "Küche"}'
    profile: meeting
    auto_publish: false
captures:
- source_id: '0123'
  config:
    input:
      camera:
        slot: front
        format:
          width: 640
          height: 480
          max_fps: 29.97
    output:
      width: 1280
      height: 720
      max_fps: 30
    rotation: 90
    kind: screen-audio
- source_id: test
  config:
    input:
      test_pattern: {}
streams:
- room_id: demo
  source_id: '0123'
  published: false
  encoder:
    codec: h264
  muted: true
subscriptions: []
slots:
- slot:
    name: front
    matches:
    - serial: 00e1
    - usb_port: 1-2
playback:
- volume: 0
remote_volumes: []
audio_report: []
canvases:
- canvas_id: caller
  config:
    remote:
      room_id: demo
      user_id: ann
      kind: screen
    place:
      geometry:
        x: -8
        width: 640
        height: 360
      fit: fill
      background_rgb: 65280
layouts:
- display: HDMI-1
  mode: 'off'
recordings:
- recording_id: shift
  config:
    streams:
    - source_id: test
    - room_id: demo
    container: mp4
    max_bytes: 2000000
"""


def without_orders(state: DesiredState) -> DesiredState:
    bare = DesiredState()
    bare.CopyFrom(state)
    bare.ClearField("revision")
    for part in (bare.rooms, bare.captures, bare.streams):
        for each in part:
            each.ClearField("order")
    for room in bare.rooms:
        room.ClearField("has_token")
    return bare


def test_a_state_is_written_for_people() -> None:
    assert to_yaml(STATE) == YAML
    assert to_yaml(STATE, ["slots"]).startswith("slots:\n- slot:\n    name: front\n")


def test_what_is_written_is_read_again() -> None:
    """With or without who ordered it, which is skipped."""
    for text in (to_yaml(STATE), to_json(STATE), to_yaml(STATE, with_orders=True), to_json(STATE, with_orders=True)):
        document = read(text, "x")
        assert document.desired == without_orders(STATE)
        assert document.parts == PARTS
    told = to_yaml(STATE, with_orders=True)
    assert told.startswith("revision: 7\n")
    assert "identity: ann" in told
    assert "kind: forever" in told
    assert "has_token: true" in told


def test_the_example_of_the_manual_is_right() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "desired-state.md").read_text()
    (example,) = re.findall(r"(?s)```yaml\n(.*?)```", manual)
    assert read(example, "docs/desired-state.md").parts == ["rooms", "captures", "streams", "slots"]


def test_only_the_lists_that_a_file_names_are_its_business() -> None:
    assert read("", "x").parts == []
    assert read("# nothing", "x").parts == []
    assert read("rooms: []", "x").parts == ["rooms"]


def test_short_forms() -> None:
    text = """
    captures:
    - source_id: a
      config: {input: {test_pattern: }, rotation: ROTATION_180, kind: other_video, mirror: yes}
    """
    (capture,) = read(text, "x").desired.captures
    assert capture.config.input.WhichOneof("input") == "test_pattern"
    assert capture.config.input == VideoInput(test_pattern=VideoInput.TestPattern())
    assert capture.config.rotation == Rotation.ROTATION_180
    assert capture.config.kind == StreamKind.STREAM_KIND_OTHER_VIDEO
    assert capture.config.mirror


def test_a_place_has_the_line_of_the_nearest_thing_that_there_is() -> None:
    document = read(YAML, "a.yaml")
    assert document.where("captures[0].config.output.width") == "a.yaml:19: captures[0].config.output.width"
    assert document.where("rooms[0].config.token") == "a.yaml:2: rooms[0].config.token"
    assert document.where("slots") == "a.yaml:36: slots"
    assert document.where("elsewhere") == "a.yaml:1: elsewhere"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("rooms", ["1: expected keys and values, found 'rooms'"]),
        ("rooms:", ["1: rooms: expected a list ([] for none), found nothing"]),
        ("rooms: {}", ["1: rooms: expected a list ([] for none), found keys and values"]),
        ("rooms: []\n\nrooms: []", ["3: rooms: the key is there twice"]),
        ("rooms: [\n", ["2: no YAML: expected the node content, but found '<stream end>'"]),
        ("rooms: []\n---\nrooms: []", ["2: no YAML: but found another document"]),
        (
            "room: []",
            [
                "1: room: there is no such key; there are: rooms, captures, streams, subscriptions, slots, "
                "playback, remote_volumes, audio_report, canvases, layouts, recordings"
            ],
        ),
        (
            "captures:\n- source_id: on\n  config:\n    output: {width: -3, height: 2.5, max_fps: fast}\n    mirror: 1",
            [
                "2: captures[0].source_id: expected text, found 'on': put it in quotes",
                "4: captures[0].config.output.width: -3 does not fit",
                "4: captures[0].config.output.height: expected a whole number, found '2.5'",
                "4: captures[0].config.output.max_fps: expected a number, found 'fast'",
                "5: captures[0].config.mirror: expected true or false, found '1'",
            ],
        ),
        (
            "captures: [{config: {input: {camera: {}, file: {path: /x}}}}]",
            ["1: captures[0].config.input.file: goes not together with camera: choose one"],
        ),
        (
            "rooms: [{config: {room_id: [a], profile: party, user_id: }}]",
            [
                "1: rooms[0].config.room_id: expected one value, found a list",
                "1: rooms[0].config.profile: 'party' is none of communication, live-broadcasting, low-latency, meeting",
                "1: rooms[0].config.user_id: expected text, found nothing: nothing follows",
            ],
        ),
        ("rooms: [&a {config: *a}]", None),
        ("\x00", None),
    ],
)
def test_every_mistake_is_told_with_its_line(text: str, problems: list[str] | None) -> None:
    with pytest.raises(DocumentError) as wrong:
        read(text, "a.yaml")
    if problems is not None:
        assert wrong.value.problems == [f"a.yaml:{problem}" for problem in problems]


def test_a_foreign_tag_is_no_code() -> None:
    assert read("rooms: !!python/object/apply:os.getcwd []", "a.yaml").desired == DesiredState()
    with pytest.raises(DocumentError):
        read("rooms: [{config: {room_id: !!python/object/apply:os.getcwd []}}]", "a.yaml")
