"""Messages as a later version of the API would send them: with fields and enum values that this one does not know."""

from typing import Any, TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

UNKNOWN_VALUE = 99
UNKNOWN_FIELD = b"\xc2\x3e\x05later"  # number 1000, a string
DEEPEST = 5


def with_unknown_fields(message: M) -> M:
    """The same message with an unknown field in it and in every message within it."""
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                with_unknown_fields(each)
    message.MergeFromString(UNKNOWN_FIELD)
    return message


def filled(kind: type[M], payload: str = "") -> M:
    """A message with everything set: each enum to a value that is not known, each oneof to its first field (`payload`
    names another).
    """
    made = kind()
    _fill(made, payload, 0)
    return with_unknown_fields(made)


def _fill(message: Any, payload: str, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            chosen = payload if payload in [each.name for each in oneof.fields] else oneof.fields[0].name
            if field.name != chosen:
                continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)["x"] = "x"
            continue
        if field.message_type is not None:
            if depth == DEEPEST:
                continue
            inner = getattr(message, field.name)
            if field.is_repeated:
                inner = inner.add()
            inner.SetInParent()
            _fill(inner, "", depth + 1)
            continue
        value: Any = UNKNOWN_VALUE if field.enum_type is not None else _plain(field)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _plain(field: Any) -> Any:
    return {
        field.CPPTYPE_STRING: b"x" if field.type == field.TYPE_BYTES else "x",
        field.CPPTYPE_BOOL: True,
        field.CPPTYPE_DOUBLE: 1.0,
        field.CPPTYPE_FLOAT: 1.0,
    }.get(field.cpp_type, 1)
