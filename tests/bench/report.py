"""What a measurement hands back, and how it is shown: a Markdown table, and a JSON file."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Line:
    """One measured quantity. `aim` in words; `met` is None where there is no aim."""

    what: str
    value: str
    aim: str = ""
    met: bool | None = None


@dataclass
class Measurement:
    """The result of one file of this folder. `raw` holds the single values behind the lines."""

    title: str
    lines: list[Line] = field(default_factory=list)
    raw: dict[str, object] = field(default_factory=dict)

    def add(self, what: str, value: str, aim: str = "", met: bool | None = None) -> None:
        self.lines.append(Line(what, value, aim, met))

    def markdown(self) -> str:
        rows = [f"### {self.title}", "", "| measured | result | aim | met |", "|---|---|---|---|"]
        for line in self.lines:
            met = "" if line.met is None else "yes" if line.met else "**no**"
            rows.append(f"| {line.what} | {line.value} | {line.aim} | {met} |")
        return "\n".join([*rows, ""])


def save(path: Path, results: dict[str, Measurement]) -> None:
    """Write the results; those of other measurements that are in the file already stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps(known, indent=2) + "\n")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` (0 to 1) of the values do not exceed."""
    in_order = sorted(values)
    return in_order[min(len(in_order) - 1, int(part * len(in_order)))]
