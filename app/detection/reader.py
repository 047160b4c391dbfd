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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, Union

import msgspec

Scalar: TypeAlias = str | int | float | bool | None
Leaf: TypeAlias = Scalar | list[Scalar]
Refused: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0)]
"""No value fits, so that a key of this type makes a decoder give up."""

_Attribute: TypeAlias = tuple[str, Any, Any]


@dataclass(slots=True)
class _Name:
    """A field, or what fields begin with; `index` is the field's place among those asked for.

    `below` has every name below with the attribute and the key that lead to it from here, direct
    children first. `nested` and `mixed` are the structs of an object under this name, None if
    there is nothing below.
    """

    path: str
    index: int | None = None
    children: "dict[str, _Name]" = field(default_factory=dict)
    below: "list[tuple[str, str, _Name]]" = field(default_factory=list)
    nested: type[msgspec.Struct] | None = None
    mixed: type[msgspec.Struct] | None = None

    def descendants(self) -> "Iterator[tuple[str, _Name]]":
        yield from self.children.items()
        for key, child in self.children.items():
            for further, name in child.descendants():
                yield f"{key}.{further}", name


class FieldReader:
    """Reads `fields` from JSON; refuses an event with one of the root keys `refused`.

    `decode_nested` and `decode_mixed` take bytes and raise msgspec.DecodeError, UnicodeDecodeError
    or RecursionError for what they cannot tell. Names must not hold quotes, backslashes or control
    characters.
    """

    def __init__(self, fields: Sequence[str], *, refused: Sequence[str] = ()) -> None:
        self.fields = tuple(dict.fromkeys(fields))
        self.namespace: dict[str, object] = {}
        """What the statements of `reading` refer to."""
        self._root = _Name("")
        for index, name in enumerate(self.fields):
            _plant(self._root, name, index)
        self._define(self._root, tuple(dict.fromkeys(refused)))
        self.decode_nested = msgspec.json.Decoder(self._root.nested).decode
        self.decode_mixed = msgspec.json.Decoder(self._root.mixed).decode

    def local(self, name: str) -> str:
        """The local variable that holds the field `name` in generated code."""
        index = self.fields.index(name)
        return f"f{index}_{_identifier(name)}"

    def reading(self) -> Iterator[str]:
        """Python statements that take each field of `event`, decoded nested, to its local.

        A local then holds None, a scalar, a list of scalars, or a struct, which is no value.
        """
        yield from self._reading(self._root, "event")

    def gather(self, event: msgspec.Struct) -> list[list[Scalar]]:
        """The values of each field of `event`, decoded mixed, in the order of `fields`."""
        found: list[list[Scalar]] = [[] for _ in self.fields]
        _gather(event, self._root, found)
        return found

    def _define(self, name: _Name, refused: Sequence[str] = ()) -> None:
        for child in name.children.values():
            if child.children:
                self._define(child)
        name.below = [(f"k{number}", *below) for number, below in enumerate(name.descendants())]
        known = {key for _, key, _ in name.below}
        nested: list[_Attribute] = [
            (f"r{n}", Refused, _named(key)) for n, key in enumerate(refused) if key not in known
        ]
        mixed = list(nested)
        for attribute, key, below in name.below:
            read, direct = key not in refused, key in name.children
            nested.append((attribute, _type(below, below.nested, read and direct), _named(key)))
            mixed.append((attribute, _type(below, below.mixed, read), _named(key)))
        name.nested = msgspec.defstruct("Nested", nested, frozen=True, gc=False)
        name.mixed = msgspec.defstruct("Mixed", mixed, frozen=True, gc=False)

    def _reading(self, name: _Name, variable: str) -> Iterator[str]:
        for number, child in enumerate(name.children.values()):
            value = f"{variable}.k{number}"
            if child.index is not None:
                value = self.local(child.path)
                yield f"{value} = {variable}.k{number}"
            if child.nested is None:
                continue
            inner = f"n{len(self.namespace)}_{_identifier(child.path)}"
            self.namespace[f"empty_{inner}"] = child.nested()
            if child.index is None:
                yield f"{inner} = {value} or empty_{inner}"
            else:
                self.namespace[f"struct_{inner}"] = child.nested
                yield f"{inner} = {value} if type({value}) is struct_{inner} else empty_{inner}"
            yield from self._reading(child, inner)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _plant(root: _Name, field_name: str, index: int) -> None:
    name, path = root, ""
    for part in field_name.split("."):
        path = f"{path}.{part}" if path else part
        name = name.children.setdefault(part, _Name(path))
    name.index = index


def _named(key: str) -> Any:
    return msgspec.field(default=None, name=key)


def _type(name: _Name, struct: type[msgspec.Struct] | None, read: bool) -> Any:
    if not read:
        return Refused
    if struct is None:
        return Leaf
    return Union[struct, Leaf] if name.index is not None else Union[struct, None]  # noqa: UP007


def _gather(event: msgspec.Struct, name: _Name, found: list[list[Scalar]]) -> None:
    for attribute, _, below in name.below:
        value = getattr(event, attribute)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            _gather(value, below, found)
        elif below.index is not None:
            found[below.index] += value if isinstance(value, list) else (value,)
