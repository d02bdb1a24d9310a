"""What rtcctl writes, and how: lines, tables, colours, JSON."""

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_PAINT = re.compile(r"\x1b\[[0-9]+m")
# Names of users and devices come from others; their control characters must not reach the terminal.
_CONTROL = re.compile(r"(\x1b\[[0-9]+m)|[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


class Screen:
    """Standard output and standard error of one command. Colours only on a terminal, and never with NO_COLOR."""

    def __init__(self, *, as_json: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.as_json = as_json
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.coloured = self.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.coloured and text else text

    def line(self, text: str = "") -> None:
        """One line to standard output."""
        print(_clean(text).rstrip(), file=self.out, flush=True)

    def table(self, rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Rows with aligned columns."""
        widths = [max(map(len_shown, column)) for column in zip(*rows, strict=True)] if rows else []
        for row in rows:
            self.line(indent + "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)))

    def document(self, content: Message | dict[str, Any], *, one_line: bool = False) -> None:
        """A JSON document to standard output, messages as protobuf's JSON with the names of the .proto."""
        content = to_dict(content) if isinstance(content, Message) else content
        text = json.dumps(content, indent=None if one_line else 2, ensure_ascii=False)
        print(text, file=self.out, flush=True)

    def note(self, text: str) -> None:
        """One line to standard error."""
        print(_clean(f"rtcctl: {text}"), file=self.err, flush=True)

    def error(self, text: str, **details: Any) -> None:
        """Why the command failed; with --json a JSON document on one line."""
        if self.as_json:
            content = {"error": {"message": text, **{key: value for key, value in details.items() if value}}}
            print(json.dumps(content, ensure_ascii=False), file=self.err, flush=True)
        else:
            self.note(text)


def to_dict(message: Message) -> dict[str, Any]:
    content: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return content


def len_shown(text: str) -> int:
    return len(_PAINT.sub("", text))


def pad(text: str, width: int) -> str:
    return text + " " * (width - len_shown(text))


def _clean(text: str) -> str:
    return _CONTROL.sub(lambda match: match[1] or "\N{REPLACEMENT CHARACTER}", text)
