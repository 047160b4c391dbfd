"""Generator of random queries and events. They use a small vocabulary, so that they often match."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

NAMES = ("ssh", "sshd", "SSH", "bash", "sh", "scp", "ſſh", "")
PATHS = ("/usr/bin/ssh", "/tmp/ssh", "/TMP/x", "/opt/a b/sh", "", "/usr/sbin/sshd")  # noqa: S108
ARGS = ("-R", "-c", "root@10.0.0.7", "-o", "ProxyCommand=nc %h", "8080:localhost:80", "", "-N\n")
PATTERNS = ("s*", "*sh", "*ss*", "?sh", "*", "/tmp/*", "*@10.*", "-?", "S*d", "*c*d*", "")  # noqa: S108
REGEXES = ("s.*", "(ssh|sshd)", "[a-s]+", "-[cR]", ".*@10\\\\.0.*", "@ssh@", "s{2}h?", '\\"s\\"sh')
ADDRESSES = ("10.0.0.7", "::1", "192.168.3.4", "::ffff:10.0.0.7", "not an address")
BLOCKS = ("10.0.0.0/8", "::/0", "192.168.3.4", "0.0.0.0/0", "fe80::/10")
DATES = ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.123456789+01:00", "1970-01-01T00:00:00Z")
TEXTS: dict[str, tuple[str, ...]] = {
    "event.category": ("process", "network", "file"),
    "event.type": ("start", "end", "change"),
    "event.action": ("exec", "fork"),
    "host.os.type": ("linux", "windows"),
    "process.name": NAMES,
    "process.executable": PATHS,
    "process.args": ARGS,
    "process.command_line": ("ssh root@10.0.0.7", "sh -c 'ssh x'", "SSH", ""),
    "process.parent.name": NAMES,
    "process.entry_leader.entry_meta.type": ("container", "sshd", "init"),
    "user.id": ("0", "1000", "root"),
    "?labels.team": ("red", "Blue", ""),
}
NUMBERS = ("process.pid", "process.args_count", "process.parent.pid", "?labels.weight")
BOOLEANS = ("process.interactive", "process.parent.interactive")


def query(draw: Random) -> str:
    head = draw.choice(("process", "process", "process", "any", "network"))
    common = [
        'host.os.type == "linux"',
        'event.type == "start"',
        'event.action in ("exec", "fork")',
    ]
    clauses = draw.sample(common, draw.randrange(4))
    clauses += [_condition(draw, 2) for _ in range(draw.randrange(1, 4))]
    draw.shuffle(clauses)
    return f"{head} where {' and '.join(clauses)}"


def event(draw: Random) -> dict[str, Any]:
    """Return a random nested event.

    Some of its fields are missing, are null, are lists, or have numbers instead of strings.
    """
    document: dict[str, Any] = {}
    for name, texts in TEXTS.items():
        _set_field(draw, document, name.lstrip("?"), partial(_text, draw, texts))
    for name in NUMBERS:
        _set_field(
            draw,
            document,
            name.lstrip("?"),
            lambda: draw.choice((0, 1, 2, 7, 1000, 2.5, "7", "x", -1)),
        )
    for name in BOOLEANS:
        _set_field(draw, document, name, lambda: draw.choice((True, False, "true", "false", "")))
    _set_field(draw, document, "source.ip", lambda: draw.choice(ADDRESSES))
    _set_field(
        draw,
        document,
        "process.start",
        lambda: draw.choice((*DATES, 1_772_359_200_000, "yesterday")),
    )
    return document


def dotted(nested: dict[str, Any], draw: Random) -> dict[str, Any]:
    """Return the event `nested` with some nested objects replaced by dotted keys."""
    flattened: dict[str, Any] = {}
    for key, value in nested.items():
        child = dotted(value, draw) if isinstance(value, dict) else value
        if isinstance(child, dict) and draw.random() < 0.6:
            flattened.update({f"{key}.{name}": inner for name, inner in child.items()})
        else:
            flattened[key] = child
    return flattened


def _set_field(
    draw: Random, document: dict[str, Any], name: str, draw_value: Callable[[], Any]
) -> None:
    chance = draw.random()
    if chance < 0.12:
        return
    value = draw_value()
    if chance < 0.3:
        value = [draw_value() for _ in range(draw.randrange(4))]
    elif chance < 0.4:
        value = [value]
    elif chance < 0.42:
        value = draw.choice((None, [None], [value, None], {"not": "a value"}))
    *parents, last = name.split(".")
    node = document
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            return
    node[last] = value


def _text(draw: Random, texts: tuple[str, ...]) -> Any:
    return draw.choice(texts) if draw.random() < 0.97 else draw.choice((0, 1000, True, 2.5))


def _condition(draw: Random, depth: int) -> str:
    chance = draw.random()
    if depth and chance < 0.3:
        word = draw.choice((" and ", " or "))
        parts = [_condition(draw, depth - 1) for _ in range(draw.randrange(2, 4))]
        return f"({word.join(parts)})"
    if depth and chance < 0.4:
        return f"not {_condition(draw, depth - 1)}"
    return draw.choice(_LEAF_GENERATORS)(draw)


def _quoted(texts: list[str]) -> str:
    flattened = [
        f'"{text}"' if "\n" not in text else f'"{text.replace(chr(10), chr(92) + "n")}"'
        for text in texts
    ]
    return flattened[0] if len(flattened) == 1 else f"({', '.join(flattened)})"


def _text_or_list(draw: Random, words: tuple[str, ...], max_count: int = 3) -> str:
    return _quoted(draw.sample(words, draw.randrange(1, min(max_count, len(words)) + 1)))


def _field(draw: Random) -> str:
    return draw.choice(tuple(TEXTS))


def _equality(draw: Random) -> str:
    name = _field(draw)
    return f"{name} {draw.choice(('==', '!='))} {_text_or_list(draw, TEXTS[name], 1)}"


def _in_list(draw: Random) -> str:
    name = _field(draw)
    words = [draw.choice(TEXTS[name]).replace("\n", "") for _ in range(draw.randrange(1, 4))]
    operator = draw.choice(("in", "not in", "in~", "not in~"))
    return f"{name} {operator} ({', '.join(f'{chr(34)}{word}{chr(34)}' for word in words)})"


def _like(draw: Random) -> str:
    return f"{_field(draw)} {draw.choice((':', 'like', 'like~'))} {_text_or_list(draw, PATTERNS)}"


def _regex(draw: Random) -> str:
    return f"{_field(draw)} {draw.choice(('regex', 'regex~'))} {_text_or_list(draw, REGEXES)}"


def _text_order(draw: Random) -> str:
    name = _field(draw)
    return f"{name} {draw.choice(('<', '<=', '>', '>='))} {_text_or_list(draw, TEXTS[name], 1)}"


def _null_comparison(draw: Random) -> str:
    name = draw.choice((*TEXTS, *NUMBERS, *BOOLEANS, "source.ip", f"length({_field(draw)})"))
    return f"{name} {draw.choice(('==', '!='))} null"


def _number_comparison(draw: Random) -> str:
    name = draw.choice(NUMBERS)
    value = draw.choice(("0", "1", "7", "2.5", "-1", "1000"))
    if draw.random() < 0.3:
        return f"{name} in ({value}, 2)"
    return f"{name} {draw.choice(('==', '!=', '<', '<=', '>', '>='))} {value}"


def _boolean_condition(draw: Random) -> str:
    name = draw.choice(BOOLEANS)
    return draw.choice((name, f"{name} == true", f"{name} != true", f"{name} == false"))


def _address_comparison(draw: Random) -> str:
    block = draw.choice(BLOCKS)
    return draw.choice(
        (
            f'source.ip == "{block}"',
            f'source.ip in ("{block}", "10.0.0.7")',
            f'cidrMatch(source.ip, "{block}")',
            f'cidrMatch(source.ip, "{block}") == false',
        )
    )


def _date_comparison(draw: Random) -> str:
    return f'process.start {draw.choice(("==", "<", ">=", "!="))} "{draw.choice(DATES)}"'


def _boolean_function(draw: Random) -> str:
    name, mark = _field(draw), draw.choice(("", "~"))
    function = draw.choice(("startsWith", "endsWith", "stringContains"))
    other = draw.choice(
        (_text_or_list(draw, ("s", "SH", "ssh", "", "d"), 1), "process.name", "null")
    )
    ending = draw.choice(("", " == true", " != true", " == false"))
    return f"{function}{mark}({name}, {other}){ending}"


def _text_function(draw: Random) -> str:
    field, other = _field(draw), draw.choice(("process.name", '"s"', "process.parent.name"))
    text = draw.choice(
        (
            f"substring({field}, {draw.choice((0, 1, -2))})",
            f"substring({field}, 1, -1)",
            f"concat({field}, {other}, process.pid)",
            f'between~({field}, "S", "h", {draw.choice(("true", "false"))})',
            f"string({draw.choice((*NUMBERS, *BOOLEANS, field))})",
        )
    )
    return f"{text} {draw.choice((':', 'like', 'in~', '=='))} {_text_or_list(draw, NAMES, 1)}"


def _number_function(draw: Random) -> str:
    field, other = draw.choice(NUMBERS), draw.choice((*NUMBERS, "2", "0", "2.5"))
    number = draw.choice(
        (
            f"{field} {draw.choice('+-*/%')} {other}",
            f"-{field}",
            f"length({_field(draw)})",
            f'indexOf~({_field(draw)}, "S", {draw.choice(("0", "1", field))})',
            f"number({_field(draw)})",
        )
    )
    return f"{number} {draw.choice(('==', '!=', '<', '>='))} {draw.choice(('0', '1', '3', '-1'))}"


_LEAF_GENERATORS: tuple[Callable[[Random], str], ...] = (
    *(
        _equality,
        _equality,
        _in_list,
        _in_list,
        _like,
        _like,
        _regex,
        _text_order,
        _null_comparison,
        _number_comparison,
        _number_comparison,
    ),
    *(
        _boolean_condition,
        _address_comparison,
        _date_comparison,
        _boolean_function,
        _boolean_function,
        _text_function,
        _number_function,
    ),
)
