"""What the doctor says: one sentence about one thing, and what to do."""

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """NOTE: it works without, or may be meant. PROBLEM: something will not work."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` names what was looked at, in a word or two."""

    about: str
    level: Level
    text: str
    advice: str = ""


def ok(about: str, text: str) -> Finding:
    return Finding(about, Level.OK, text)


def note(about: str, text: str, advice: str = "") -> Finding:
    return Finding(about, Level.NOTE, text, advice)


def problem(about: str, text: str, advice: str) -> Finding:
    return Finding(about, Level.PROBLEM, text, advice)
