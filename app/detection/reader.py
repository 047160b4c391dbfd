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
Leaf: TypeAlias = Scalar | list[Scalar]
Text: TypeAlias = str | tuple[str, ...] | None
Refused: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=0)]
"""No value fits, so that a key of this type makes a decoder give up."""

_Attribute: TypeAlias = tuple[str, Any, Any]


@dataclass(slots=True)
class _Name:
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
    usual: bool = False
    is_text: bool = False
    is_late: bool = False
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
        also: Sequence[str] = (),
        refused: Sequence[str] = (),
        refused_at_once: Sequence[str] = (),
        is_text: Callable[[str], bool] = lambda _name: False,
        is_late: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self.fields = tuple(dict.fromkeys([*fields, *also]))
        self._places = {name: index for index, name in enumerate(self.fields)}
        self.namespace: dict[str, object] = {}
        """What the statements of `reading` refer to."""
        self._above: dict[str, int] = {}
        self._late: dict[str, Callable[[bytes], msgspec.Struct | None]] = {}
        self._root = _Name("")
        for index, name in enumerate(self.fields):
            planted = _plant(self._root, name, name in fields)
            planted.index, planted.is_text, planted.is_late = index, is_text(name), is_late(name)
        _mark_late(self._root)
        self._define(self._root, dict.fromkeys(refused), dict.fromkeys(refused_at_once))
        self.decode_nested = msgspec.json.Decoder(self._root.nested).decode
        self.decode_mixed = msgspec.json.Decoder(self._root.mixed).decode

    def local(self, name: str) -> str:
        """The local variable that holds the field `name` in generated code."""
        return f"f{self._places[name]}_{_identifier(name)}"

    def reading(self, names: Iterable[str]) -> Iterator[str]:
        """Python statements that take the fields `names` of `event`, decoded nested, to their locals.

        A local then holds None, a scalar, or a list of scalars and None; where `is_text`, None, a text
        or a tuple of texts.
        """
        yield from self._reading(self._root, "event", frozenset(names))

    def gather(self, event: msgspec.Struct) -> list[list[Scalar]]:
        """The values of each field of `event`, decoded mixed, in the order of `fields`."""
        found: list[list[Scalar]] = [[] for _ in self.fields]
        _gather(event, self._root, found)
        return found

    def _define(
        self,
        name: _Name,
        refused: Collection[str] = (),
        at_once: Collection[str] = (),
        *,
        is_late: bool = False,
    ) -> None:
        """`is_late` says that `name`, or an object around it, is decoded late: one decoding is enough."""
        for child in name.children.values():
            if child.children:
                self._define(child, is_late=is_late or child.is_late)
        name.below = [(f"k{number}", *below) for number, below in enumerate(name.descendants())]
        known = {key for _, key, _ in name.below}
        nested: list[_Attribute] = _refusing(at_once, known)
        mixed: list[_Attribute] = _refusing(refused, known)
        for attribute, key, below in name.below:
            direct = key in name.children and key not in at_once
            if below.usual:
                leaf = Text if below.is_text else Leaf
                kind = _type(below, below.nested, direct, leaf)
                if direct and below.nested and below.is_late and not is_late:
                    kind = msgspec.Raw
                    late = _type(below, below.nested, True, None)
                    self._late[below.path] = msgspec.json.Decoder(late).decode
                nested.append((attribute, kind, _named(key)))
            mixed.append(
                (attribute, _type(below, below.mixed, key not in refused, Leaf), _named(key))
            )
        name.nested = msgspec.defstruct("Nested", nested, frozen=True, gc=False)
        name.mixed = msgspec.defstruct("Mixed", mixed, frozen=True, gc=False)

    def _reading(self, name: _Name, variable: str, wanted: frozenset[str]) -> Iterator[str]:
        for number, child in enumerate(name.children.values()):
            value = f"{variable}.k{number}"
            if child.path in wanted:
                value = self.local(child.path)
                yield f"{value} = {variable}.k{number}"
            if child.nested is None or not any(w.startswith(f"{child.path}.") for w in wanted):
                continue
            inner = f"n{self._number(child.path)}_{_identifier(child.path)}"
            self.namespace[f"empty_{inner}"] = child.nested()
            if child.path in self._late:
                self.namespace[f"decode_{inner}"] = self._late[child.path]
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
            yield from self._reading(child, inner, wanted)

    def _number(self, path: str) -> int:
        """A number of its own for each name above a field: two may look alike as an identifier."""
        return self._above.setdefault(path, len(self._above))


def _refusing(keys: Collection[str], known: Collection[str]) -> list[_Attribute]:
    return [(f"r{n}", Refused, _named(key)) for n, key in enumerate(keys) if key not in known]


def _mark_late(name: _Name) -> None:
    for child in name.children.values():
        if child.children:
            _mark_late(child)
            usual = [one for one in child.children.values() if one.usual]
            child.is_late = child.index is None and all(one.is_late for one in usual)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _plant(root: _Name, field_name: str, usual: bool) -> _Name:
    name, path = root, ""
    for part in field_name.split("."):
        path = f"{path}.{part}" if path else part
        name = name.children.setdefault(part, _Name(path))
        name.usual = name.usual or usual
    return name


def _named(key: str) -> Any:
    return msgspec.field(default=None, name=key)


def _type(name: _Name, struct: type[msgspec.Struct] | None, read: bool, leaf: Any) -> Any:
    if not read:
        return Refused
    if struct is None:
        return leaf
    return Union[struct, leaf] if name.index is not None else Union[struct, None]  # noqa: UP007


def _gather(event: msgspec.Struct, name: _Name, found: list[list[Scalar]]) -> None:
    for attribute, _, below in name.below:
        value = getattr(event, attribute)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            _gather(value, below, found)
        elif below.index is not None:
            found[below.index] += value if isinstance(value, list) else (value,)
