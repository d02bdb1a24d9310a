"""Remembers from which inputs a step was done, so that it is done again when one of them has changed, and only then."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_IGNORED = {"__pycache__", "node_modules", "build"}


class Stamp:
    """The file that holds the digest of a step's inputs."""

    def __init__(self, path: Path, inputs: Iterable[Path], facts: Iterable[str] = ()) -> None:
        """`inputs` are files and folders; `facts` are other things that the result depends on."""
        self._path = path
        self._digest = _digest(inputs, facts)

    def is_current(self) -> bool:
        """Whether the step was done from inputs equal to those of now."""
        try:
            return self._path.read_text() == self._digest
        except OSError:
            return False

    def clear(self) -> None:
        """The step begins: until set(), its result is not to be trusted."""
        self._path.unlink(missing_ok=True)

    def set(self) -> None:
        """The step is done."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self._digest)


def _digest(inputs: Iterable[Path], facts: Iterable[str]) -> str:
    total = hashlib.sha256()
    for root in inputs:
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and not _IGNORED.intersection(path.parts[len(root.parts) :]):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{root.name}/{path.relative_to(root)} {content}\n".encode())
    for fact in facts:
        total.update(f"{fact}\n".encode())
    return total.hexdigest()
