"""What recordings may come to at the most, by the agent's configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordingLimits:
    """0: no limit. In force for orders that set none, and for those that set one an upper bound."""

    max_bytes: int = 0
    max_duration_ms: int = 0
