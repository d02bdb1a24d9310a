"""How an engine came to its end, and whether that speaks against what it was just doing."""

import enum
import signal
from dataclasses import dataclass

# Of rtcagent-engine, see engine/process.py: it heard nothing of its daemon for too long.
EXIT_ORPHANED = 72


@dataclass(frozen=True, slots=True)
class EngineEnd:
    """Why there is no engine any more, or will be none in a moment."""

    class Kind(enum.Enum):
        STOPPED = enum.auto()  # the agent is stopping
        PLANNED = enum.auto()  # replaced in good order
        CRASHED = enum.auto()  # it died of itself, or hung
        LOST = enum.auto()  # killed or stopped from outside, or replaced because it did not do what it should

    kind: Kind
    why: str

    @property
    def in_good_order(self) -> bool:
        """Whether the engine is asked to close everything, before it is killed."""
        return self.kind in (self.Kind.STOPPED, self.Kind.PLANNED)

    def as_the_process_ended(self, status: int | None, in_words: str, *, killed: bool = False) -> "EngineEnd":
        """The same in the light of the exit status (None: not known), which says more than the connections that broke
        with the process. `killed`: by the daemon, unless it had ended just before.
        """
        if status is None or self.in_good_order or (killed and status == -signal.SIGKILL):
            return self
        is_its_own_doing = status not in (-signal.SIGKILL, EXIT_ORPHANED)  # nothing in an engine sends SIGKILL
        return EngineEnd(self.Kind.CRASHED if is_its_own_doing else self.Kind.LOST, in_words)
