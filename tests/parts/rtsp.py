"""A network camera: an RTSP server of colour bars, which can be ended and begun again at the same address."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

# Debian's interpreter, as PyGObject is a package of the system.
SERVER = """
import sys
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch("( videotestsrc is-live=true pattern=smpte75 ! video/x-raw,format=I420,width=320,height=180,"
                   "framerate=15/1 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextlib.asynccontextmanager
async def rtsp_server(port: int = 0) -> AsyncIterator[int]:
    """The port of a server of rtsp://127.0.0.1:PORT/camera, which runs meanwhile; 0: a free one."""
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", SERVER, str(port), stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
