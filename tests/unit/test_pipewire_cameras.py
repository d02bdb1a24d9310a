"""Which of PipeWire's objects are cameras of its own, as pw-dump tells of them and of their end."""

from typing import Any

from rtcagentd.engine.pipewire_cameras import PipeWireCameras


def node(number: int, **properties: str) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in properties.items()}
    return {"id": number, "type": "PipeWire:Interface:Node", "info": {"props": named}}


def test_cameras_that_v4l2_has_not() -> None:
    changes: list[set[str]] = []
    cameras = PipeWireCameras(lambda: changes.append(set(cameras.cameras())))
    source = {"media_class": "Video/Source"}
    cameras.take(
        [
            node(1, **source, media_role="Camera", node_name="studio cam", node_description="Studio"),
            node(2, **source, media_role="Camera", node_name="v4l2_input.usb", device_api="v4l2"),
            node(3, **source, node_name="xdg-desktop-portal-wlr"),  # a shared screen
            node(4, media_class="Audio/Source", media_role="Camera", node_name="microphone"),
            {"id": 5, "info": None},
        ]
    )
    assert changes == [{"pipewire-studio_cam"}]
    device = cameras.cameras()["pipewire-studio_cam"]
    assert (device.name, device.path, device.driver) == ("Studio", "pipewire:studio cam", "pipewire")
    cameras.take([node(6, media_class="Audio/Sink")])
    assert len(changes) == 1
    cameras.take([{"id": 1, "info": None}])
    assert changes == [{"pipewire-studio_cam"}, set()]
