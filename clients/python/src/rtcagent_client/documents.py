"""The desired state as a file for people: YAML or JSON with the names of the .proto, and short words for enum values.

A file replaces the lists that it names: one with `rooms` alone leaves captures as they are, and `rooms: []` asks for
none. Reading is strict: unknown and repeated keys and values of another type are mistakes, all told with their lines.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from rtcagent.v1.state_pb2 import DesiredState

from rtcagent_client.words import enum_value, enum_word

PARTS = [each.name for each in DesiredState.DESCRIPTOR.fields if each.is_repeated]

_TOLD = {
    "order",
    "has_token",
    "token_expires_at",
    "revision",
}  # what only the agent says: written on request, and skipped when read
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


class DocumentError(ValueError):
    """A file that cannot be used. `problems` are lines "state.yaml:7: rooms[0].config.room_id: what is wrong"."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass
class Document:
    """What a file asks for, the lists that it names, and the line of each place ("rooms[0].config") in it."""

    name: str
    desired: DesiredState = field(default_factory=DesiredState)
    parts: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, place: str) -> str:
        """ "state.yaml:7: rooms[0].config.room_id", with the line of the nearest thing that there is."""
        nearest = place
        while nearest and nearest not in self.lines:
            nearest = nearest[: max(nearest.rfind("."), nearest.rfind("["), 0)]
        line = f":{self.lines[nearest]}" if nearest in self.lines else ""
        return f"{self.name}{line}: {place}" if place else f"{self.name}{line}"


def to_tree(desired: DesiredState, parts: Iterable[str] = tuple(PARTS), *, with_orders: bool = False) -> dict[str, Any]:
    """Plain dicts and lists. `with_orders`: also the revisions, and who asked for what and for how long."""
    tree: dict[str, Any] = {"revision": desired.revision} if with_orders else {}
    for part in (part for part in PARTS if part in set(parts)):
        tree[part] = [_tree_of(each, with_orders) for each in getattr(desired, part)]
    return tree


def to_yaml(desired: DesiredState, parts: Iterable[str] = tuple(PARTS), *, with_orders: bool = False) -> str:
    """Lists in the order of the agent's answer, keys in that of the .proto: the same state gives the same text."""
    tree = to_tree(desired, parts, with_orders=with_orders)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=False, width=4096)


def to_json(desired: DesiredState, parts: Iterable[str] = tuple(PARTS), *, with_orders: bool = False) -> str:
    return json.dumps(to_tree(desired, parts, with_orders=with_orders), indent=2, ensure_ascii=False) + "\n"


def read(text: str, name: str) -> Document:
    """Read YAML (or JSON, which is YAML too). `name` stands in messages. DocumentError: with all mistakes."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise DocumentError([f"{name}{line}: no YAML: {error.problem or error.context}"]) from error
    except yaml.YAMLError as error:
        raise DocumentError([f"{name}: no YAML: {str(error).splitlines()[0]}"]) from error
    document = Document(name)
    reader = _Reader(document)
    if node is not None:
        reader.message(node, document.desired, "")
    if reader.problems:
        raise DocumentError(reader.problems)
    return document


def _tree_of(message: Message, with_orders: bool) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for each, value in message.ListFields():
        if each.name in _TOLD and not with_orders:
            continue
        if _is_map(each):
            tree[each.name] = dict(sorted(value.items()))
        elif each.is_repeated:
            tree[each.name] = [_plain(each, one, with_orders) for one in value]
        else:
            tree[each.name] = _plain(each, value, with_orders)
    return tree


def _plain(each: FieldDescriptor, value: Any, with_orders: bool) -> Any:
    if each.message_type is not None:
        if each.message_type.full_name == "google.protobuf.Timestamp":
            return value.ToJsonString()
        return _tree_of(value, with_orders)
    if each.enum_type is not None:
        word = enum_word(EnumTypeWrapper(each.enum_type), value).lower().replace("_", "-")
        return int(word) if word.isdecimal() else word
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class _Reader:
    """Puts a tree of YAML nodes into messages, and notes every mistake."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[str] = []

    def message(self, node: yaml.Node, into: Message, place: str) -> None:
        self._document.lines.setdefault(place, node.start_mark.line + 1)
        if place and _tag(node) == "null":
            into.SetInParent()  # `test_pattern:` and nothing after it
            return
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, place, f"expected keys and values, found {_found(node)}")
            return
        into.SetInParent()
        fields = cast(dict[str, FieldDescriptor], into.DESCRIPTOR.fields_by_name)
        alternatives: dict[str, str] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else _found(key_node)
            inner = f"{place}.{key}" if place else key
            self._document.lines.setdefault(inner, key_node.start_mark.line + 1)
            if key not in fields:
                known = ", ".join(name for name in fields if name not in _TOLD)
                self._wrong(key_node, inner, f"there is no such key; there are: {known}")
                continue
            if key in seen:
                self._wrong(key_node, inner, "the key is there twice")
                continue
            seen.add(key)
            if key in _TOLD:
                continue
            of = fields[key].containing_oneof
            if of is not None and len(of.fields) > 1 and alternatives.setdefault(of.name, key) != key:
                self._wrong(key_node, inner, f"goes not together with {alternatives[of.name]}: choose one")
                continue
            self._field(value_node, into, fields[key], inner)

    def _field(self, node: yaml.Node, into: Message, each: FieldDescriptor, place: str) -> None:
        if _is_map(each):
            self._map(node, getattr(into, each.name), place)
        elif each.is_repeated:
            self._list(node, into, each, place)
        elif each.message_type is not None:
            self.message(node, getattr(into, each.name), place)
        else:
            value = self._scalar(node, each, place)
            if value is not None:
                try:
                    setattr(into, each.name, value)
                except ValueError:  # protobuf's own words name no place
                    self._wrong(node, place, f"{value!r} does not fit")

    def _list(self, node: yaml.Node, into: Message, each: FieldDescriptor, place: str) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, place, f"expected a list ([] for none), found {_found(node)}")
            return
        if into is self._document.desired:
            self._document.parts.append(each.name)
        for index, item in enumerate(node.value):
            self.message(item, getattr(into, each.name).add(), f"{place}[{index}]")

    def _map(self, node: yaml.Node, into: Any, place: str) -> None:
        """Texts by name."""
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, place, f"expected names and values ({{}} for none), found {_found(node)}")
            return
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else _found(key_node)
            inner = f"{place}.{key}"
            self._document.lines.setdefault(inner, key_node.start_mark.line + 1)
            if key in into:
                self._wrong(key_node, inner, "the key is there twice")
            elif _tag(value_node) != "str":
                self._wrong(value_node, inner, f"expected text, found {_found(value_node)}: put it in quotes")
            else:
                into[key] = value_node.value

    def _scalar(self, node: yaml.Node, each: FieldDescriptor, place: str) -> Any:
        """The value for a field; None where there is none, which is noted."""
        found = _tag(node)
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, place, f"expected one value, found {_found(node)}")
            return None
        if each.enum_type is not None:
            return self._enum(node, each, place)
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._wrong(node, place, f"{node.value!r} cannot be read")
            return None
        if each.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if found == "str":
                return value
            advice = "put it in quotes" if node.value else "nothing follows"
            self._wrong(node, place, f"expected text, found {_found(node)}: {advice}")
        elif each.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            if found == "bool":
                return value
            self._wrong(node, place, f"expected true or false, found {_found(node)}")
        elif found == "int" or (found == "float" and each.cpp_type not in _INTEGERS):
            return value
        else:
            kind = "whole number" if each.cpp_type in _INTEGERS else "number"
            self._wrong(node, place, f"expected a {kind}, found {_found(node)}")
        return None

    def _enum(self, node: yaml.ScalarNode, each: FieldDescriptor, place: str) -> Any:
        assert each.enum_type is not None
        if node.value in each.enum_type.values_by_name:  # VIDEO_CODEC_VP8
            return each.enum_type.values_by_name[node.value].number
        try:
            return enum_value(EnumTypeWrapper(each.enum_type), str(node.value))
        except ValueError as error:
            self._wrong(node, place, str(error))
            return None

    def _wrong(self, node: yaml.Node, place: str, text: str) -> None:
        where = f"{self._document.name}:{node.start_mark.line + 1}"
        self.problems.append(f"{where}: {place}: {text}" if place else f"{where}: {text}")


def _is_map(each: FieldDescriptor) -> bool:
    return each.message_type is not None and each.message_type.GetOptions().map_entry


def _tag(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "nothing" if _tag(node) == "null" and not node.value else repr(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
