"""Whether this machine has a sound server, told as that changes; and the cards that it would have without one."""

from pathlib import Path

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import state_pb2 as state

from rtcagentd.engine.events import Events
from rtcagentd.engine.pulse import Pulse

_CARDS = Path("/proc/asound")


class SoundStatusWatch:
    """Follows the sound server. On the event loop only."""

    def __init__(self, pulse: Pulse, events: Events) -> None:
        self._pulse = pulse
        self._events = events
        self.status = state.SoundStatus(problem=pulse.problem)
        pulse.on_change(self._compare)

    def _compare(self) -> None:
        status = state.SoundStatus(
            connected=self._pulse.is_connected,
            server=self._pulse.snapshot.server,
            problem=self._pulse.problem,
            alsa_cards=alsa_cards(_CARDS),
        )
        if status != self.status:
            self.status = status
            self._events.emit(contract.EngineEvent(sound_status_changed=contract.SoundStatusChanged(sound=status)))


def alsa_cards(folder: Path) -> list[str]:
    """The kernel's ids of the cards, in the order of their numbers; `folder` is /proc/asound."""
    cards = []
    for card in sorted(folder.glob("card[0-9]*"), key=lambda path: int(path.name.removeprefix("card"))):
        try:
            cards.append((card / "id").read_text().strip())
        except OSError:
            continue  # it was unplugged meanwhile
    return cards
