"""Decoding of an event's JSON to nothing but the fields that are asked for.

An agent may write `process.name` nested, dotted, or partly dotted inside any object, and in several
places at once. For each name that asked-for fields begin with there is one msgspec struct, with an
attribute for every way to go on: the struct of `process` has `name`, `entry_leader`,
`entry_leader.entry_meta` and so on. There are two decoders of that design:

- the nested one, for what agents nearly always send, knows dotted keys only to refuse them;
- the mixed one reads a field from all its places.

What neither can tell (a list of objects, an object instead of a scalar, JSON that msgspec does not
take) is left to a reading of the whole document.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, Union

import msgspec

Scalar: TypeAlias = str | int | float | bool | None
FieldValue: TypeAlias = Scalar | list[Scalar]
TextValue: TypeAlias = str | tuple[str, ...] | None
Forbidden: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0)]
"""No value fits, so that a key of this type makes a decoder give up."""

_Attribute: TypeAlias = tuple[str, Any, Any]


@dataclass(slots=True)
class _PathNode:
    """A field, or what fields begin with; `index` is the field's place among those asked for.

    `usual` says whether the nested decoder reads it, or a field below it; `is_text`, that it takes
    nothing there but a text or a list of texts, which becomes a tuple; `is_late`, that an object here is
    decoded only when it is looked into.

    `below` has every name below with the attribute and the key that lead to it from here, direct
    children first. `nested` and `mixed` are the structs of an object under this name, None if
    there is nothing below.
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
        yield from self.children.items()
        for key, child in self.children.items():
            for further, name in child.descendants():
                yield f"{key}.{further}", name


class PartialDecoder:
    """Reads `fields` from JSON.

    `decode_mixed` alone reads the fields `also`. Root keys `refused` make it refuse an event, and
    `decode_nested` only those of them that are `refused_at_once`. `is_text` tells of which fields
    `decode_nested` takes nothing but texts, lists being tuples, so that whoever reads them need not
    look. Both take bytes and raise msgspec.DecodeError, UnicodeDecodeError or RecursionError for what
    they cannot tell, as do the statements of `reading`. Objects with no other fields than those that
    `is_late` tells of are decoded by these statements only. Names must not hold quotes, backslashes or
    control characters.
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
        """What the statements of `reading` refer to."""
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
        """The local variable that holds the field `name` in generated code."""
        return f"f{self._positions[name]}_{_identifier(name)}"

    def read_statements(self, names: Iterable[str]) -> Iterator[str]:
        """Python statements that take the fields `names` of `event`, decoded nested, to their locals.

        A local then holds None, a scalar, or a list of scalars and None; where `is_text`, None, a text
        or a tuple of texts.
        """
        yield from self._read_statements(self._root, "event", frozenset(names))

    def collect_values(self, event: msgspec.Struct) -> list[list[Scalar]]:
        """The values of each field of `event`, decoded mixed, in the order of `fields`."""
        found: list[list[Scalar]] = [[] for _ in self.fields]
        _collect_values(event, self._root, found)
        return found

    def _define_structs(
        self,
        name: _PathNode,
        forbidden_keys: Collection[str] = (),
        nested_forbidden: Collection[str] = (),
        *,
        is_lazy: bool = False,
    ) -> None:
        """`is_late` says that `name`, or an object around it, is decoded late: one decoding is enough."""
        for child in name.children.values():
            if child.children:
                self._define_structs(child, is_lazy=is_lazy or child.is_lazy)
        name.struct_attributes = [
            (f"k{number}", *node) for number, node in enumerate(name.descendants())
        ]
        known = {key for _, key, _ in name.struct_attributes}
        nested: list[_Attribute] = _forbidden_attributes(nested_forbidden, known)
        mixed: list[_Attribute] = _forbidden_attributes(forbidden_keys, known)
        for attribute, key, node in name.struct_attributes:
            is_direct = key in name.children and key not in nested_forbidden
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
        name.nested = msgspec.defstruct("Nested", nested, frozen=True, gc=False)
        name.mixed = msgspec.defstruct("Mixed", mixed, frozen=True, gc=False)

    def _read_statements(
        self, name: _PathNode, variable: str, wanted: frozenset[str]
    ) -> Iterator[str]:
        for number, child in enumerate(name.children.values()):
            value = f"{variable}.k{number}"
            if child.path in wanted:
                value = self.local_name(child.path)
                yield f"{value} = {variable}.k{number}"
            if child.nested is None or not any(w.startswith(f"{child.path}.") for w in wanted):
                continue
            inner = f"n{self._object_number(child.path)}_{_identifier(child.path)}"
            self.namespace[f"empty_{inner}"] = child.nested()
            if child.path in self._lazy_decoders:
                self.namespace[f"decode_{inner}"] = self._lazy_decoders[child.path]
                value = f"({value} and decode_{inner}({value}))"
            if child.path in wanted:
                self.namespace[f"struct_{inner}"] = child.nested
                yield f"{inner} = empty_{inner}"
                yield f"if type({value}) is struct_{inner}:"
                yield f"    {inner}, {value} = {value}, None"
            elif child.index is None:
                yield f"{inner} = {value} or empty_{inner}"
            else:
                self.namespace[f"struct_{inner}"] = child.nested
                yield f"{inner} = {value} if type({value}) is struct_{inner} else empty_{inner}"
            yield from self._read_statements(child, inner, wanted)

    def _object_number(self, path: str) -> int:
        """A number of its own for each name above a field: two may look alike as an identifier."""
        return self._object_numbers.setdefault(path, len(self._object_numbers))


def _forbidden_attributes(keys: Collection[str], known: Collection[str]) -> list[_Attribute]:
    return [
        (f"r{n}", Forbidden, _struct_field(key)) for n, key in enumerate(keys) if key not in known
    ]


def _mark_lazy(name: _PathNode) -> None:
    for child in name.children.values():
        if child.children:
            _mark_lazy(child)
            in_nested = [one for one in child.children.values() if one.in_nested]
            child.is_lazy = child.index is None and all(one.is_lazy for one in in_nested)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _insert_path(root: _PathNode, field_name: str, in_nested: bool) -> _PathNode:
    name, path = root, ""
    for part in field_name.split("."):
        path = f"{path}.{part}" if path else part
        name = name.children.setdefault(part, _PathNode(path))
        name.in_nested = name.in_nested or in_nested
    return name


def _struct_field(key: str) -> Any:
    return msgspec.field(default=None, name=key)


def _annotation(name: _PathNode, struct: type[msgspec.Struct] | None, read: bool, leaf: Any) -> Any:
    if not read:
        return Forbidden
    if struct is None:
        return leaf
    return Union[struct, leaf] if name.index is not None else Union[struct, None]  # noqa: UP007


def _collect_values(event: msgspec.Struct, name: _PathNode, found: list[list[Scalar]]) -> None:
    for attribute, _, node in name.struct_attributes:
        value = getattr(event, attribute)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            _collect_values(value, node, found)
        elif node.index is not None:
            found[node.index] += value if isinstance(value, list) else (value,)
