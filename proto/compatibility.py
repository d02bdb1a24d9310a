"""Tells whether the API of rtcagent.v1 still serves the clients of the last release, and agents of it these clients.

proto/baseline.txt lists every message field, enum value and method of the last release, one per line. What is listed
there may not be removed, renumbered or retyped; anything may be added. At a release, the list is made anew:

    python proto/compatibility.py --renew
"""

import argparse
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PROTO = Path(__file__).resolve().parent
BASELINE = PROTO / "baseline.txt"
PACKAGE = "rtcagent.v1"
_TYPES = {
    **{1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool"},
    **{9: "string", 10: "group", 12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64"},
}


def api() -> list[str]:
    """The API as the generated code has it, one thing per line: what it is, then its number and type."""
    lines: list[str] = []
    for source in sorted((PROTO / PACKAGE.replace(".", "/")).glob("*.proto")):
        file = importlib.import_module(f"{PACKAGE}.{source.stem}_pb2").DESCRIPTOR
        for message in file.message_types_by_name.values():
            lines += _message(message)
        for enum in file.enum_types_by_name.values():
            lines += _enum(enum)
        for service in file.services_by_name.values():
            lines += _service(service)
    return sorted(lines)


def broken(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """What of `before` is no longer so, in words."""
    lines = set(now)
    by_name = {line.split(" = ")[0]: line for line in lines}
    problems = []
    for line in before:
        if line and line not in lines:
            other = by_name.get(line.split(" = ")[0])
            problems.append(f"{line}: " + (f"is now {other}" if other else "is gone"))
    return problems


def _message(message: Any) -> Iterator[str]:
    for field in message.fields:
        label = "repeated " if field.is_repeated else "optional " if _tells_unset(field) else ""
        oneof = field.containing_oneof
        group = f" in {oneof.name}" if oneof is not None and not _tells_unset(field) else ""
        yield f"field {message.full_name}.{field.name} = {field.number} {label}{_type(field)}{group}"
    for nested in message.nested_types:
        yield from _message(nested)
    for enum in message.enum_types:
        yield from _enum(enum)


def _tells_unset(field: Any) -> bool:
    """Whether it is a plain field that was declared `optional`."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _type(field: Any) -> str:
    kind = field.message_type or field.enum_type
    return kind.full_name if kind is not None else _TYPES[field.type]


def _enum(enum: Any) -> Iterator[str]:
    for value in enum.values:
        yield f"value {enum.full_name}.{value.name} = {value.number}"


def _service(service: Any) -> Iterator[str]:
    for method in service.methods:
        sends, answers = ("stream " if each else "" for each in (method.client_streaming, method.server_streaming))
        types = f"{sends}{method.input_type.full_name} -> {answers}{method.output_type.full_name}"
        yield f"method {service.full_name}.{method.name} = {types}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renew", action="store_true", help="make the list anew, at a release")
    arguments = parser.parse_args()
    problems = broken(BASELINE.read_text().splitlines() if BASELINE.exists() else [], api())
    if arguments.renew:
        for problem in problems:
            print(f"given up: {problem}")
        BASELINE.write_text("".join(f"{line}\n" for line in api()))
    elif problems:
        sys.exit("clients of the last release would not get on with this:\n  " + "\n  ".join(problems))


if __name__ == "__main__":
    main()
