"""JSON decoder that reads only selected fields of an event.

An agent can write the field `process.name` in two forms:

- with nested keys: `{"process": {"name": "ssh"}}`
- with a dotted key: `{"process.name": "ssh"}`

One event can contain both forms. There are two decoders:

- The nested decoder is fast. It reads nested keys, which nearly all agents send. It rejects an event if a
  selected field has a dotted key.
- The mixed decoder reads nested and dotted keys. If an event contains a field in both forms, the mixed
  decoder returns the values of both forms.

A decoder has one msgspec struct for each object. The struct has an attribute for each nested key and each
dotted key that can occur in the object. For example, a struct of `process` has attributes for the keys
`name`, `entry_leader` and `entry_leader.name`. In a struct of the nested decoder, the type of an attribute
for a dotted key is `Forbidden`.

An event that both decoders reject must be decoded completely. Examples are an event with a list of objects,
an event with an object in place of a scalar, and invalid JSON.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, Union

import msgspec

from app.detection.eql.coercion import NullableScalar

FieldValue: TypeAlias = NullableScalar | list[NullableScalar]
TextValue: TypeAlias = str | tuple[str, ...] | None
Forbidden: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0)]
"""A type without valid values. A decoder raises ValidationError if the event has a key of this type."""

_Attribute: TypeAlias = tuple[str, Any, Any]


@dataclass(slots=True)
class _PathNode:
    """A node in the tree of field names: a field, an object that contains fields, or both.

    - `path`: the full name, such as `process.entry_leader`.
    - `index`: the position of the field in `PartialDecoder.fields`. It is None if the node is only an object.
    - `in_nested`: the nested decoder reads this field, or a field inside this object.
    - `is_text`: the nested decoder accepts only a string or a list of strings, and returns a list as a tuple.
    - `is_lazy`: the field or object may be decoded later, when a rule first reads it.
    - `struct_attributes`: a list of (attribute, key, node). The list has an entry for each field and each
      object inside this object, direct children first. `attribute` is the name of the struct attribute, such
      as `k0`. `key` is the JSON key, such as `name` or `entry_leader.name`.
    - `nested`: the struct of this object in the nested decoder. It is None if the node is only a field.
    - `mixed`: the struct of this object in the mixed decoder. It is None if the node is only a field.
    """

    path: str
    index: int | None = None
    in_nested: bool = False
    is_text: bool = False
    is_lazy: bool = False
    children: "dict[str, _PathNode]" = field(default_factory=dict)
    struct_attributes: "list[tuple[str, str, _PathNode]]" = field(default_factory=list)
    nested: type[msgspec.Struct] | None = None
    mixed: type[msgspec.Struct] | None = None

    def descendants(self) -> "Iterator[tuple[str, _PathNode]]":
        """Yield (key, node) for each node below this node, direct children first.

        `key` is the path from this node to the yielded node. It is dotted unless the node is a direct child.
        """
        yield from self.children.items()
        for key, child in self.children.items():
            for inner_key, node in child.descendants():
                yield f"{key}.{inner_key}", node


class PartialDecoder:
    """JSON decoder for selected fields of an event.

    `decode_nested` and `decode_mixed` take JSON bytes and return a msgspec struct. `decode_nested` is fast
    and accepts only nested keys. `decode_mixed` accepts nested and dotted keys. The arguments are:

    - `fields`: both methods read these fields.
    - `mixed_only`: only `decode_mixed` reads these fields.
    - `forbidden_keys`: `decode_mixed` rejects an event with one of these top-level keys.
    - `nested_forbidden_keys`: `decode_nested` rejects an event with one of these top-level keys.
    - `is_text(field)`: if true, `decode_nested` accepts only a string or a list of strings in the field, and
      returns a list as a tuple.
    - `is_lazy(field)`: if true, the field may be decoded later, when a rule first reads it. If all fields of
      an object are lazy, `decode_nested` returns the object as undecoded bytes. The code from
      `read_statements` decodes these bytes.

    The two methods and the code from `read_statements` raise msgspec.DecodeError, UnicodeDecodeError or
    RecursionError if they cannot decode an event. Field names must not contain quotes, backslashes or control
    characters.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        mixed_only: Sequence[str] = (),
        forbidden_keys: Sequence[str] = (),
        nested_forbidden_keys: Sequence[str] = (),
        is_text: Callable[[str], bool] = lambda _name: False,
        is_lazy: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self.fields = tuple(dict.fromkeys([*fields, *mixed_only]))
        self._positions = {name: index for index, name in enumerate(self.fields)}
        self.namespace: dict[str, object] = {}
        """The global variables that the code from `read_statements` needs, by name."""
        self._object_numbers: dict[str, int] = {}
        self._lazy_decoders: dict[str, Callable[[bytes], msgspec.Struct | None]] = {}
        self._root = _PathNode("")
        for index, name in enumerate(self.fields):
            inserted = _insert_path(self._root, name, name in fields)
            inserted.index, inserted.is_text, inserted.is_lazy = index, is_text(name), is_lazy(name)
        _mark_lazy(self._root)
        self._define_structs(
            self._root, dict.fromkeys(forbidden_keys), dict.fromkeys(nested_forbidden_keys)
        )
        self.decode_nested = msgspec.json.Decoder(self._root.nested).decode
        self.decode_mixed = msgspec.json.Decoder(self._root.mixed).decode

    def local_name(self, name: str) -> str:
        """Return the name of the local variable that holds the field `name` in generated code."""
        return f"f{self._positions[name]}_{_identifier(name)}"

    def read_statements(self, names: Iterable[str]) -> Iterator[str]:
        """Yield lines of Python code that assign the fields `names` to local variables (see `local_name`).

        The code reads the fields from the variable `event`, a result of `decode_nested`. `is_text(field)`
        decides which values the code can assign:

        - If true: None, a string or a tuple of strings.
        - If false: None, a scalar or a list. Each item of the list is None or a scalar.
        """
        yield from self._read_statements(self._root, "event", frozenset(names))

    def collect_values(self, event: msgspec.Struct) -> list[list[NullableScalar]]:
        """Return a list of values for each of `self.fields`. `event` is a result of `decode_mixed`."""
        values: list[list[NullableScalar]] = [[] for _ in self.fields]
        _collect_values(event, self._root, values)
        return values

    def _define_structs(
        self,
        parent: _PathNode,
        forbidden_keys: Collection[str] = (),
        nested_forbidden: Collection[str] = (),
        *,
        is_lazy: bool = False,
    ) -> None:
        """Define the structs of `parent` and of all objects inside `parent`.

        `is_lazy` is true if `parent`, or an object that contains `parent`, is lazy. The objects inside a lazy
        object are decoded together with it, so they get no decoders of their own.
        """
        for child in parent.children.values():
            if child.children:
                self._define_structs(child, is_lazy=is_lazy or child.is_lazy)
        parent.struct_attributes = [
            (f"k{number}", *entry) for number, entry in enumerate(parent.descendants())
        ]
        known = {key for _, key, _ in parent.struct_attributes}
        nested: list[_Attribute] = _forbidden_attributes(nested_forbidden, known)
        mixed: list[_Attribute] = _forbidden_attributes(forbidden_keys, known)
        for attribute, key, node in parent.struct_attributes:
            is_direct = key in parent.children and key not in nested_forbidden
            if node.in_nested:
                leaf = TextValue if node.is_text else FieldValue
                kind = _annotation(node, node.nested, is_direct, leaf)
                if is_direct and node.nested and node.is_lazy and not is_lazy:
                    kind = msgspec.Raw
                    lazy = _annotation(node, node.nested, True, None)
                    self._lazy_decoders[node.path] = msgspec.json.Decoder(lazy).decode
                nested.append((attribute, kind, _struct_field(key)))
            mixed.append(
                (
                    attribute,
                    _annotation(node, node.mixed, key not in forbidden_keys, FieldValue),
                    _struct_field(key),
                )
            )
        parent.nested = msgspec.defstruct("Nested", nested, frozen=True, gc=False)
        parent.mixed = msgspec.defstruct("Mixed", mixed, frozen=True, gc=False)

    def _read_statements(
        self, parent: _PathNode, variable: str, names: frozenset[str]
    ) -> Iterator[str]:
        for number, child in enumerate(parent.children.values()):
            value = f"{variable}.k{number}"
            if child.path in names:
                value = self.local_name(child.path)
                yield f"{value} = {variable}.k{number}"
            if child.nested is None or not any(name.startswith(f"{child.path}.") for name in names):
                continue
            inner = f"n{self._object_number(child.path)}_{_identifier(child.path)}"
            self.namespace[f"empty_{inner}"] = child.nested()
            if child.path in self._lazy_decoders:
                self.namespace[f"decode_{inner}"] = self._lazy_decoders[child.path]
                value = f"({value} and decode_{inner}({value}))"
            if child.path in names:
                self.namespace[f"struct_{inner}"] = child.nested
                yield f"{inner} = empty_{inner}"
                yield f"if type({value}) is struct_{inner}:"
                yield f"    {inner}, {value} = {value}, None"
            elif child.index is None:
                yield f"{inner} = {value} or empty_{inner}"
            else:
                self.namespace[f"struct_{inner}"] = child.nested
                yield f"{inner} = {value} if type({value}) is struct_{inner} else empty_{inner}"
            yield from self._read_statements(child, inner, names)

    def _object_number(self, path: str) -> int:
        """Return a unique number for `path`, because `_identifier` can return the same text for two paths."""
        return self._object_numbers.setdefault(path, len(self._object_numbers))


def _forbidden_attributes(keys: Collection[str], known: Collection[str]) -> list[_Attribute]:
    return [
        (f"r{n}", Forbidden, _struct_field(key)) for n, key in enumerate(keys) if key not in known
    ]


def _mark_lazy(parent: _PathNode) -> None:
    for child in parent.children.values():
        if child.children:
            _mark_lazy(child)
            in_nested = [node for node in child.children.values() if node.in_nested]
            child.is_lazy = child.index is None and all(node.is_lazy for node in in_nested)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _insert_path(root: _PathNode, field_name: str, in_nested: bool) -> _PathNode:
    node, path = root, ""
    for part in field_name.split("."):
        path = f"{path}.{part}" if path else part
        node = node.children.setdefault(part, _PathNode(path))
        node.in_nested = node.in_nested or in_nested
    return node


def _struct_field(key: str) -> Any:
    return msgspec.field(default=None, name=key)


def _annotation(
    node: _PathNode, struct: type[msgspec.Struct] | None, is_allowed: bool, leaf: Any
) -> Any:
    if not is_allowed:
        return Forbidden
    if struct is None:
        return leaf
    # Ruff's rule UP007 wants `X | Y` instead of `Union[X, Y]` in annotations. This is not an annotation: the
    # types are values of variables.
    return Union[struct, leaf] if node.index is not None else Union[struct, None]  # noqa: UP007


def _collect_values(
    event: msgspec.Struct, parent: _PathNode, values: list[list[NullableScalar]]
) -> None:
    for attribute, _, node in parent.struct_attributes:
        value = getattr(event, attribute)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            _collect_values(value, node, values)
        elif node.index is not None:
            values[node.index] += value if isinstance(value, list) else (value,)
