"""EQL parser: syntax trees, and the positions of syntax errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detection.eql.errors import EqlError
from app.detection.eql.parser import MAX_DEPTH, parse
from app.detection.eql.syntax_tree import (
    And,
    BooleanOperand,
    Comparison,
    ComparisonOperator,
    Expression,
    Field,
    Literal,
    Lookup,
    LookupOperator,
    Not,
    Or,
    Span,
)

ANY_SPAN = Span(0, 0, 0, 0)
A, B, C = (BooleanOperand(Field(name, False, ANY_SPAN), ANY_SPAN) for name in "abc")


def literal(value: str | int | float | bool | None) -> Literal:
    return Literal(value, ANY_SPAN)


def equal(
    name: str, value: str | int | float | bool | None, *, optional: bool = False
) -> Comparison:
    return Comparison(
        Field(name, optional, ANY_SPAN), ComparisonOperator.EQUAL, literal(value), ANY_SPAN
    )


def lookup(name: str, operator: LookupOperator, *values: str | int | float | bool | None) -> Lookup:
    operand = Field(name, False, ANY_SPAN)
    return Lookup(operand, operator, tuple(map(literal, values)), ANY_SPAN)


@pytest.mark.parametrize(
    ("condition", "tree"),
    [
        ("a or b and not c", Or((A, And((B, Not(C, ANY_SPAN)), ANY_SPAN)), ANY_SPAN)),
        ("not a and b", And((Not(A, ANY_SPAN), B), ANY_SPAN)),
        ("(a or b) and c", And((Or((A, B), ANY_SPAN), C), ANY_SPAN)),
        ("not (a)", Not(A, ANY_SPAN)),
        ("a and b // c\n and /* or \n */ c", And((A, B, C), ANY_SPAN)),
        ('a.b == "x"', equal("a.b", "x")),
        ('(a.b) == "x"', equal("a.b", "x")),
        ('?a.b == "x"', equal("a.b", "x", optional=True)),
        ("a == null", equal("a", None)),
        ("a == true", equal("a", True)),
        ("a == -12", equal("a", -12)),
        ("a == 1.5e3", equal("a", 1500.0)),
        ("a == .5", equal("a", 0.5)),
        (r'a == "\t\n\r\b\f\"\\"', equal("a", '\t\n\r\b\f"\\')),
        (r'a == "\u{41}\u{1F600}\u{0000202e}"', equal("a", "A\U0001f600\u202e")),
        ('a == "// no comment"', equal("a", "// no comment")),
        (r'a == """\d "quoted" \"""', equal("a", r'\d "quoted" ' + "\\")),
        ('a == """"b""""', equal("a", '"b"')),
        ('a == ""', equal("a", "")),
        ("a.`my-field`.`b``c` == 1", equal("a.my-field.b`c", 1)),
        ("`a.b` == 1", equal("a.b", 1)),
        ("@timestamp == null", equal("@timestamp", None)),
        ("index.order.android == 1", equal("index.order.android", 1)),
        ("file.in.like == 1", equal("file.in.like", 1)),
        ('a : "x"', lookup("a", LookupOperator.COLON, "x")),
        ('a : ("x", "y")', lookup("a", LookupOperator.COLON, "x", "y")),
        ('a in ("x", 1, -2, true)', lookup("a", LookupOperator.IN, "x", 1, -2, True)),
        ('a in~ ("x")', lookup("a", LookupOperator.IN_IGNORE_CASE, "x")),
        ('a like "x*"', lookup("a", LookupOperator.LIKE, "x*")),
        ('a like~ ("x*", "?")', lookup("a", LookupOperator.LIKE_IGNORE_CASE, "x*", "?")),
        ('a not in ("x")', Not(lookup("a", LookupOperator.IN, "x"), ANY_SPAN)),
        ('a not in~ ("x")', Not(lookup("a", LookupOperator.IN_IGNORE_CASE, "x"), ANY_SPAN)),
    ],
)
def test_a_condition_is_read_as_elasticsearch_reads_it(condition: str, tree: Expression) -> None:
    assert parse(f"any where {condition}").condition == tree


@pytest.mark.parametrize(
    ("written", "category"),
    [
        ("any", None),
        ("process", "process"),
        ('"my category"', "my category"),
        ('"""6.raw"""', "6.raw"),
        ("`any`", "any"),
    ],
)
def test_the_event_category_precedes_where(written: str, category: str | None) -> None:
    assert parse(f"{written} where true").category == category


def test_a_node_has_the_span_of_its_source_text() -> None:
    text = 'process where\n  not (a == "x" or b in (1, 2)) // end'
    condition = parse(text).condition
    assert isinstance(condition, Not)
    either = condition.operand
    assert isinstance(either, Or)
    spans = [node.span for node in (condition, either, *either.operands)]
    assert [(span.line, span.column) for span in spans] == [(2, 3), (2, 7), (2, 8), (2, 20)]
    assert [text[span.start : span.end] for span in spans] == [
        'not (a == "x" or b in (1, 2))',
        '(a == "x" or b in (1, 2))',
        'a == "x"',
        "b in (1, 2)",
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("sequence by a [any where true]", 1, 1, "'sequence' correlates several events"),
        ("// why\n  sample by a [any where true]", 2, 3, "'sample' correlates several events"),
        ("join [any where true]", 1, 1, "'join' correlates several events"),
        ("any where true\n| head 5", 2, 1, "pipes are not supported"),
        ('any where a = "x"', 1, 13, "'=' is not an operator; use '=='"),
        ("any where a == 'x'", 1, 16, "double quotes"),
        ('any where a == "x', 1, 16, "not closed"),
        ('any where a == "x\ny"', 1, 16, "not closed"),
        ("any where a == `x", 1, 16, "not closed"),
        (r'any where a == "ab\q"', 1, 19, r"'\q' is not an escape"),
        (r'any where a == "\u{d800}"', 1, 17, "not a Unicode character"),
        (r'any where a == "\u{ffffffff}"', 1, 17, "not a Unicode character"),
        ("any where a[0] == 1", 1, 12, "array indexes are not supported"),
        ("any where (a == 1) == 1", 1, 11, "compared with true and false only"),
        ("any where (a == 1) == null", 1, 11, "compared with true and false only"),
        ("any where (a == 1) + 1 == 2", 1, 11, "compared with true and false only"),
        ("any where a == 1 == 2", 1, 18, "unexpected '=='"),
        ("any where a and and b", 1, 17, "unexpected 'and'"),
        ("any where or", 1, 11, "unexpected 'or'"),
        ("any where a in b", 1, 16, "unexpected 'b'"),
        ("any where a == " + "9" * 400, 1, 16, "more than 300 characters"),
        ("any where", 1, 10, "ends unexpectedly"),
        ("any where (a", 1, 13, "ends unexpectedly"),
        ("", 1, 1, "ends unexpectedly"),
        ("process", 1, 8, "ends unexpectedly"),
        ("process where a\x00", 1, 16, "unexpected character"),
    ],
)
def test_a_syntax_error_has_a_position_and_a_reason(
    text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(EqlError) as raised:
        parse(text)
    assert reason in raised.value.message
    assert (raised.value.line, raised.value.column) == (line, column)


@pytest.mark.parametrize(
    "condition",
    [
        "not " * (MAX_DEPTH + 1) + "a",
        "(a and " * MAX_DEPTH + "(b or c)" + ")" * MAX_DEPTH,
        "not " * 20_000 + "a",
    ],
)
def test_too_deep_nesting_is_refused(condition: str) -> None:
    with pytest.raises(EqlError, match="nested more than 50 levels"):
        parse(f"any where {condition}")


def test_redundant_parentheses_do_not_count_as_nesting() -> None:
    assert parse(f"any where {'(' * 5_000}a{')' * 5_000}").condition == A


_WORDS = st.sampled_from(
    [
        *("any", "process", "where", "and", "or", "not", "in", "in~", "like~", "regex", "sequence"),
        *(":", "==", "!=", "<", "(", ")", ",", "+", "*", "|", "[", "a.b", "?c", "`d`", "f("),
        *(
            '"x"',
            '"""y"""',
            "1",
            "-2.5",
            "true",
            "null",
            "//",
            "/*",
            "*/",
            "\\",
            "'",
            '"',
            "`",
            "\n",
        ),
    ]
)


@given(st.one_of(st.text(), st.lists(_WORDS).map(" ".join), st.lists(_WORDS).map("".join)))
def test_any_text_is_parsed_or_refused_with_a_line_and_column(text: str) -> None:
    place = (1, 1)
    try:
        parse(text)
    except EqlError as error:
        place = (error.line, error.column)
    lines = text.split("\n")
    assert 1 <= place[0] <= len(lines)
    assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1
