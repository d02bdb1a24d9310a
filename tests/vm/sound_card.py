"""The test machine's sound card: snd-aloop, whose other end plays a tone; and a PulseAudio server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.vm.machine import GuestProcess, Machine

CARD = "Loopback"
TONE_HZ = 440.0
_DRIVER = "/sys/bus/platform/drivers/snd_aloop"
_SOCKET = "/run/pulse/native"  # where clients look that are told of no other server
_SERVER = ("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no")
_MODULES = (f"module-native-protocol-unix socket={_SOCKET} auth-anonymous=1", "module-udev-detect tsched=0")


@contextlib.contextmanager
def sound_server(machine: Machine, folder: Path) -> Iterator[GuestProcess]:
    """It has whatever card is plugged in; `folder` takes its log."""
    machine.run("mkdir", "-p", str(Path(_SOCKET).parent))
    modules = [argument for module in _MODULES for argument in ("-L", module)]
    with machine.process(*_SERVER, *modules, log=folder / "pulseaudio.log") as server:
        yield server


@contextlib.contextmanager
def tone(machine: Machine, folder: Path) -> Iterator[None]:
    """What is recorded from the card meanwhile."""
    command = ("speaker-test", "-D", f"plughw:{CARD},1,0", "-c", "2", "-r", "44100", "-F", "S16_LE", "-t", "sine")
    with machine.process(*command, "-f", f"{TONE_HZ:g}", log=folder / "speaker-test.log"):
        yield


def plug(machine: Machine) -> None:
    """The first time loads its driver."""
    machine.run("modprobe", "snd-aloop", "pcm_substreams=1")
    if CARD not in machine.run("cat", "/proc/asound/cards"):
        machine.write(f"{_DRIVER}/bind", "snd_aloop.0")


def unplug(machine: Machine) -> None:
    machine.write(f"{_DRIVER}/unbind", "snd_aloop.0")
