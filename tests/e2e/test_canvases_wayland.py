"""Canvases on Wayland compositors: with wlr-layer-shell by what is seen, without it by what is said."""

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, inputs

from tests.parts import screenshot
from tests.parts.compositor import Compositor
from tests.parts.daemon import MakeDaemon
from tests.parts.picture import Picture, shows_bars

SETTINGS = {"display": {"default_layout": False}}


async def test_geometry_and_order_with_layer_shell(make_daemon: MakeDaemon) -> None:
    async with Compositor("sway", 640, 480) as sway:
        daemon = await make_daemon(settings=SETTINGS, environment=sway.environment)
        async with AsyncClient.connect(daemon.address) as client:
            (display,) = (await client.list_displays()).displays
            assert (display.kind, display.width, display.height) == (st.Display.KIND_WAYLAND, 640, 480)
            assert st.DISPLAY_ABILITY_GEOMETRY in display.abilities
            await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
            await client.set_local_video_canvas(canvas_id="low", geometry=(0, 0, 320, 180), background_rgb=0xFF0000)
            await client.set_local_video_canvas(
                canvas_id="high", geometry=(100, 60, 400, 400), background_rgb=0x00FF00, z=1
            )

            def is_so(seen: Picture) -> bool:
                return (
                    shows_bars(seen[172:372, 100:500])  # the picture in "high", 400x225 in its middle
                    and tuple(seen[100, 200]) == (0, 255, 0)  # its bar over "low"
                    and tuple(seen[450, 50]) == (0, 0, 0)  # the desktop
                )

            await screenshot.until_seen(lambda: screenshot.of_wayland(sway.environment), is_so, "two canvases")
            await client.remove_canvas("high")
            await screenshot.until_seen(
                lambda: screenshot.of_wayland(sway.environment),
                lambda seen: shows_bars(seen[:120, :320]) and not seen[200:, :].any(),
                "the lower one alone",
            )


async def test_full_screen_only_without_layer_shell(make_daemon: MakeDaemon) -> None:
    async with Compositor("cage") as cage:
        daemon = await make_daemon(settings=SETTINGS, environment=cage.environment)
        async with AsyncClient.connect(daemon.address) as client:
            (display,) = (await client.list_displays()).displays
            assert list(display.abilities) == [st.DISPLAY_ABILITY_FULL_SCREEN]
            assert "zwlr_layer_shell_v1" in display.missing
            await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
            await client.set_local_video_canvas(canvas_id="whole")
            refused = await client.set_local_video_canvas(canvas_id="part", geometry=(0, 0, 100, 100), check=False)
            assert refused.outcomes[0].kind == ty.Outcome.KIND_REFUSED
            assert refused.outcomes[0].cause.reason == ty.REASON_DISPLAY_UNABLE
            assert "zwlr_layer_shell_v1" in refused.outcomes[0].cause.message
