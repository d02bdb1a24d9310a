"""Looks at what media need: cameras that may be opened, GStreamer's elements, an encoder, sound and a display."""

import ctypes
import ctypes.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Account, Processes, group_name, may_open

DEV = Path("/dev")
SYS_VIDEO = Path("/sys/class/video4linux")
X11 = Path("/tmp/.X11-unix")
NATIVE_S = 60
# In a process of its own, like the engine: a broken GStreamer plugin may end the process that loads it.
_NATIVE = (
    "import json; from rtcagentd.engine import _native as n;"
    "print(json.dumps([n.gstreamer_version(), n.missing_elements()]))"
)
_PLUGINS = "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"


def check(processes: Processes) -> Iterator[Finding]:
    """Everything that the engine process needs."""
    who = processes.engine_account
    yield from _cameras(who)
    yield from _gstreamer()
    yield _encoder(who)
    yield _sound(who)
    yield _display(who)


def _cameras(who: Account) -> Iterator[Finding]:
    nodes = sorted(DEV.glob("video[0-9]*"), key=lambda node: (len(node.name), node.name))
    if not nodes:
        text = "this machine has no camera (/dev/video*)"
        yield note("cameras", text, "plug one in; network cameras, files and test pictures work without")
    for node in nodes:
        about = f"camera {node}"
        name = _camera_name(node)
        match may_open(who, node):
            case True:
                yield ok(about, f"{name}: {who.name} may open it")
            case None:
                yield ok(about, f"{name}: an access list decides (getfacl {node})")
            case False:
                group = group_name(node.stat().st_gid)
                text = f"{name}: {who.name}, as whom the engine runs, may not open it"
                if who.name == group or node.stat().st_gid in who.gids:
                    yield problem(about, text, f"chmod g+rw {node}, by a udev rule so that it stays")
                else:
                    yield problem(about, text, f"usermod -aG {group} {who.name}, then start rtcagentd anew")


def _camera_name(node: Path) -> str:
    try:
        return (SYS_VIDEO / node.name / "name").read_text().strip()
    except OSError:
        return node.name


def _gstreamer() -> Iterator[Finding]:
    try:
        child = subprocess.run(
            [sys.executable, "-c", _NATIVE], capture_output=True, text=True, timeout=NATIVE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield problem("GStreamer", f"it could not be loaded: {error}", "look at its installation: gst-inspect-1.0")
        return
    if child.returncode != 0:
        said = (child.stderr.strip().splitlines() or [f"status {child.returncode}"])[-1]
        yield problem("GStreamer", f"the engine's native part cannot be loaded: {said}", f"apt-get install {_PLUGINS}")
        return
    version, missing = json.loads(child.stdout)
    if missing:
        yield problem("GStreamer", f"{version} lacks {', '.join(missing)}", f"apt-get install {_PLUGINS}")
    else:
        yield ok("GStreamer", f"{version} has every element that is needed")


def _encoder(who: Account) -> Finding:
    about = "encoder"
    nvidia = DEV / "nvidia0"
    if nvidia.exists() and may_open(who, nvidia) is not False and ctypes.util.find_library("nvidia-encode"):
        return ok(about, "NVENC encodes video in hardware")
    nodes = sorted((DEV / "dri").glob("renderD*"))
    if nodes and ctypes.util.find_library("va"):
        if any(may_open(who, node) is not False for node in nodes):
            return ok(about, f"VA-API may encode video in hardware, at {nodes[0]}")
        group = group_name(nodes[0].stat().st_gid)
        text = f"{who.name}, as whom the engine runs, may not open {nodes[0]}: video is encoded by the processor"
        return note(about, text, f"usermod -aG {group} {who.name}, then start rtcagentd anew")
    text = f"no hardware encoder: video is encoded by the processor ({os.cpu_count()} cores)"
    return note(
        about, text, "lower size or frame rate where that is too much: 720p at 30 frames/s takes about 0.2 core"
    )


def _sound(who: Account) -> Finding:
    runtime = Path(f"/run/user/{who.uid}")
    sockets = [runtime / "pulse/native", Path("/run/pulse/native"), Path("/var/run/pulse/native")]
    server = os.environ.get("PULSE_SERVER", "")
    if who.is_ours and server.startswith("unix:"):
        sockets.insert(0, Path(server.removeprefix("unix:")))
    for path in sockets:
        if _answers(path):
            return ok("sound", f"PulseAudio or PipeWire answers at {path}")
    text = f"neither PulseAudio nor PipeWire answers {who.name}: there is no microphone and no playback"
    advice = "run the engine in the desktop's session, or install pipewire-pulse (apt-get install pipewire-pulse)"
    return note("sound", text, f"{advice}; video works without")


def _display(who: Account) -> Finding:
    runtime = Path(f"/run/user/{who.uid}")
    wayland = (
        [each for each in sorted(runtime.glob("wayland-[0-9]*")) if each.is_socket()] if _readable(runtime) else []
    )
    if wayland:
        return ok("display", f"Wayland at {wayland[0]}")
    # one that belongs to somebody's session is of no use to a service, whose /tmp is its own, too
    x11 = sorted(X11.glob("X[0-9]*")) if who.is_ours or runtime.is_dir() else []
    if x11:
        return ok("display", f"X11 at :{x11[0].name.removeprefix('X')}")
    text = f"{who.name} has no display: nothing can be shown, and no screen be shared"
    return note("display", text, "run the engine in the desktop's session; cameras work without")


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
    except OSError:
        return False
    return True


def _readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)
