"""TOML files: the line and the column of each key and string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detection.toml_positions import KeyPath, Position, TomlDocument, TomlError

FILE = """\
# [no.table]
top = [1, "]", { a = '}' }, # ]
  2]
"quoted key" . 'x.y'.z = 1

[rule]
note = '''
[not.a.table]
key = 1
''' # key2 = 2
query = "a"

[[rule.threat]]
n = 0
[rule.threat.tactic]
id = "T"
[[rule.threat.technique]]
id = "1"
[[rule.threat.technique]]
id = "2"
[[rule.threat]]
  n = { deep.er = 1, list = [
    1 ] }
[[rule.threat.technique]]
id = "3"
[ last ]
t = 2026-01-01T00:00:00Z
u = -0.5 # end"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("top",), 2, 1),
        (("quoted key",), 4, 1),
        (("quoted key", "x.y", "z"), 4, 1),
        (("rule",), 6, 2),
        (("rule", "note"), 7, 1),
        (("rule", "query"), 11, 1),
        (("rule", "threat"), 13, 3),
        (("rule", "threat", 0), 13, 3),
        (("rule", "threat", 0, "n"), 14, 1),
        (("rule", "threat", 0, "tactic", "id"), 16, 1),
        (("rule", "threat", 0, "technique", 0, "id"), 18, 1),
        (("rule", "threat", 0, "technique", 1, "id"), 20, 1),
        (("rule", "threat", 1, "n"), 22, 3),
        (("rule", "threat", 1, "technique", 0, "id"), 25, 1),
        (("last", "u"), 28, 1),
        # a missing key has the position of its nearest existing parent
        (("rule", "absent"), 6, 2),
        (("rule", "threat", 0, "tactic", "name"), 15, 2),
        (("nowhere", "at", "all"), 1, 1),
    ],
)
def test_a_key_has_its_position(path: KeyPath, line: int, column: int) -> None:
    assert TomlDocument(FILE).key_position(path) == Position(line, column)
    assert TomlDocument(FILE.replace("\n", "\r\n")).key_position(path) == Position(line, column)


_PIECES = st.sampled_from(["a", "é", "\U0001f600", " ", "'", "#"])
_ESCAPES = st.sampled_from([r"\n", r"\t", r"\\", r"\"", r"\u00e9", r"\U0001F600"])
_BREAKS = st.sampled_from(["\n", "\r\n", "\n\n"])
_CONTINUED = st.sampled_from(["\\\n", "\\  \n\n   ", "\\\r\n \r\n"])


@pytest.mark.parametrize(
    ("before", "after", "piece"),
    [
        ('"', '"', st.one_of(_PIECES, _ESCAPES)),
        ("'", "'", st.sampled_from(["a", "é", "\\", '"', " "])),
        ('"""', '"""', st.one_of(_PIECES, _ESCAPES, _BREAKS, _CONTINUED)),
        ('"""\n', '"""', st.one_of(_PIECES, _ESCAPES, _BREAKS, _CONTINUED)),
        ("'''\r\n", "'''", st.one_of(st.sampled_from(["a", "\\", '"', "é"]), _BREAKS)),
    ],
    ids=["basic", "literal", "long basic", "long basic on its own lines", "long literal"],
)
@given(data=st.data())
def test_a_character_of_a_string_has_its_position(
    before: str, after: str, piece: st.SearchStrategy[str], data: st.DataObject
) -> None:
    lead, rest = (data.draw(st.lists(piece, max_size=8).map("".join)) for _ in range(2))
    source = TomlDocument(f"x = 1\n[t]\n  q = {before}{lead}§{rest}{after}\ny = 2\n")
    text = source.data["t"]["q"]
    preceding = f"x = 1\n[t]\n  q = {before}{lead}".replace("\r\n", "\n")
    position = Position(preceding.count("\n") + 1, len(preceding) - preceding.rfind("\n"))
    assert source.text_position(("t", "q"), text.index("§")) == position


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = = 2", 2, 5),
        ('a = """\n\n', 3, None),
        ("a = " + "[" * 100_000, 1, None),
        ("a = " + "9" * 10_000, 1, None),
        ("\x00", 1, 1),
    ],
)
def test_invalid_toml_is_reported_with_its_position(
    text: str, line: int, column: int | None
) -> None:
    with pytest.raises(TomlError) as error:
        TomlDocument(text)
    assert (error.value.line, error.value.column) == (line, column)


@given(st.lists(st.sampled_from([*"[]{}=.,#'\"\\ab1 \n", '"""', "'''", "[["]), max_size=30))
def test_the_scanner_accepts_any_valid_toml(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        source = TomlDocument(text)
    except TomlError:
        return
    assert all(source.key_position((key,)).line <= text.count("\n") + 1 for key in source.data)
