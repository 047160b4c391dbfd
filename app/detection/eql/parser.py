"""Parser for single-event EQL queries.

The syntax follows Elasticsearch's EQL syntax reference and the grammar of its EQL plugin. The parser does not
check whether fields exist or types match; `clauses` checks this. The module is long, because it has a handler
for every rule of the grammar.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import NoReturn, TypeAlias, TypeGuard

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from app.detection.eql.errors import EqlError
from app.detection.eql.syntax_tree import (
    And,
    BooleanOperand,
    Call,
    Comparison,
    ComparisonOperator,
    Expression,
    Field,
    Literal,
    Lookup,
    LookupOperator,
    Not,
    Operand,
    Or,
    Query,
    Span,
)

MAX_DEPTH = 50
"""Maximum nesting of conditions, functions and arithmetic in a query. Rules need far fewer levels. All
recursive functions on the tree, and Python's compiler, can handle this depth."""

MAX_CONDITIONS = 2_000
"""Maximum number of conditions and function calls in a query."""

MAX_NUMBER_LENGTH = 300

_ParseNode: TypeAlias = Token | Expression | Operand

_MULTI_EVENT_KEYWORD = re.compile(
    r"(?>\s++|//[^\n]*+|/\*(?>.*?\*/))*+(sequence|sample|join)(?![\w.])", re.DOTALL
)
_ESCAPE_SEQUENCE = re.compile(r"\\(?:u\{([0-9a-fA-F]{2,8})\}|(.))")
# The escape sequence `\'` is not documented, but published rules use it.
_ESCAPED_CHARACTERS = {
    "b": "\b",
    "t": "\t",
    "n": "\n",
    "f": "\f",
    "r": "\r",
    '"': '"',
    "'": "'",
    "\\": "\\",
}
_HINTS = {
    "=": "'=' is not an operator; use '==' (exact) or ':' (ignores case, allows wildcards)",
    "'": "strings must be in double quotes",
    '"': "this string is not closed on its line",
    "`": "this field name is not closed",
    "[": "array indexes are not supported: a comparison holds if any value matches",
}


def parse(text: str) -> Query:
    """Return the syntax tree of `text`.

    Raises EqlError in these cases:

    - `text` is not a single-event query.
    - `text` uses unsupported syntax.
    - `text` is nested deeper than MAX_DEPTH.
    - `text` has more than MAX_CONDITIONS conditions and function calls.
    """
    if keyword := _MULTI_EVENT_KEYWORD.match(text):
        raise EqlError(
            f"'{keyword[1]}' correlates several events; Deckwatch evaluates each event separately",
            *_line_and_column(text, keyword.start(1)),
        )
    try:
        query = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(error, text) from None
    assert isinstance(query, Query)  # noqa: S101 (the start rule of the grammar builds a Query)
    _check_limits(query)
    return query


@cache
def _parser() -> Lark:
    grammar = files("app.detection.eql").joinpath("eql.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_TreeBuilder())


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _syntax_error(error: UnexpectedInput, text: str) -> EqlError:
    if isinstance(error, UnexpectedCharacters):
        hint = _HINTS.get(error.char, f"unexpected character {error.char!r}")
        return EqlError(hint, error.line, error.column)
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        return EqlError(f"unexpected '{error.token}'", error.line, error.column)
    line, column = _line_and_column(text, len(text.rstrip()))
    return EqlError("the query ends unexpectedly", line, column)


def _check_limits(query: Query) -> None:
    pending: list[tuple[Expression | Operand, int]] = [(query.condition, 1)]
    count = 0
    while pending:
        node, depth = pending.pop()
        count += not isinstance(node, Field | Literal)
        if count > MAX_CONDITIONS:
            raise EqlError.at(
                query.condition.span, f"a query has at most {MAX_CONDITIONS:,} conditions"
            )
        if depth > MAX_DEPTH:
            raise EqlError.at(node.span, f"conditions are nested more than {MAX_DEPTH} levels deep")
        pending.extend((child, depth + 1) for child in _children(node))


def _children(node: Expression | Operand) -> Sequence[Expression | Operand]:
    match node:
        case And() | Or():
            return node.operands
        case Not() | BooleanOperand():
            return (node.operand,)
        case Comparison():
            return (node.left, node.right)
        case Lookup():
            return (node.operand, *node.values)
        case Call():
            return node.arguments
        case Field() | Literal():
            return ()


def _span(*nodes: _ParseNode) -> Span:
    first, last = nodes[0], nodes[-1]
    if isinstance(first, Token):
        # lark declares positions as optional, but every token from its lexer has them.
        line, column, start = first.line or 1, first.column or 1, first.start_pos or 0
    else:
        line, column, start = first.span.line, first.span.column, first.span.start
    end = (last.end_pos or 0) if isinstance(last, Token) else last.span.end
    return Span(line, column, start, end)


def _refuse(at: _ParseNode, message: str) -> NoReturn:
    raise EqlError.at(_span(at), message)


def _as_operand(node: _ParseNode) -> Operand:
    if isinstance(node, BooleanOperand):  # for example `(field)` in `(field) == "x"`
        return node.operand
    if not isinstance(node, Field | Literal | Call):
        _refuse(node, "a condition can be compared with true and false only")
    return node


def _as_condition(node: _ParseNode) -> Expression:
    if isinstance(node, Token):
        raise TypeError(node)
    return BooleanOperand(node, node.span) if isinstance(node, Field | Literal | Call) else node


def _is_condition(node: _ParseNode) -> TypeGuard[Expression]:
    return not isinstance(node, Token | Field | Literal | Call | BooleanOperand)


_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}


def _comparison_polarity(operator: _ParseNode, node: _ParseNode) -> bool | None:
    """Return how a comparison with `true` or `false` changes a condition.

    For example, in `(a == 1) != true`, the condition is `a == 1`, `operator` is `!=` and `node` is `true`.
    The results are:

    - True: the condition is unchanged. This is the result for `== true` and `!= false`.
    - False: the condition is negated. This is the result for `== false` and `!= true`.
    - None: `node` is not a boolean constant, or `operator` is not `==` or `!=`.
    """
    if not isinstance(node, Literal) or not isinstance(node.value, bool):
        return None
    return {"==": node.value, "!=": not node.value}.get(str(operator))


def _unescape(token: Token) -> str:
    def character(escape: re.Match[str]) -> str:
        if escape[1]:
            code = int(escape[1], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                refuse_escape(escape, "is not a Unicode character")
            return chr(code)
        if escape[2] not in _ESCAPED_CHARACTERS:
            refuse_escape(escape, r"is not an escape sequence; use \b \t \n \f \r \" \\ or \u{…}")
        return _ESCAPED_CHARACTERS[escape[2]]

    def refuse_escape(escape: re.Match[str], reason: str) -> NoReturn:
        column = (token.column or 1) + 1 + escape.start()
        raise EqlError(f"'{escape[0]}' {reason}", token.line or 1, column)

    return _ESCAPE_SEQUENCE.sub(character, token[1:-1])


def _field_name_part(token: Token) -> str:
    return token[1:-1].replace("``", "`") if token.type == "QUOTED_NAME" else str(token)


class _TreeBuilder(Transformer[Token, Query]):
    """Builds the syntax tree. The parser calls a method for each matched grammar rule, innermost first.

    Each method has the name of a rule in eql.lark. Its argument is the list of the rule's matched parts.
    """

    def start(self, nodes: tuple[Literal, _ParseNode, Token | None]) -> Query:
        category, condition, pipe = nodes
        if pipe is not None:
            _refuse(pipe, "pipes are not supported: a rule evaluates each event separately")
        name = None if category.value is None else str(category.value)
        return Query(name, _as_condition(condition), _span(category, condition))

    def category(self, nodes: list[Token]) -> Literal:
        (token,) = nodes
        if token.type == "ANY":
            return self.null(nodes)
        if token.type == "TEXT":
            return self.text(nodes)
        return (
            self.raw_text(nodes)
            if token.type == "RAW_TEXT"
            else Literal(_field_name_part(token), _span(token))
        )

    def or_expression(self, nodes: list[_ParseNode]) -> _ParseNode:
        return nodes[0] if len(nodes) == 1 else Or(tuple(map(_as_condition, nodes)), _span(*nodes))

    def and_expression(self, nodes: list[_ParseNode]) -> _ParseNode:
        return nodes[0] if len(nodes) == 1 else And(tuple(map(_as_condition, nodes)), _span(*nodes))

    def not_expression(self, nodes: list[_ParseNode]) -> Not:
        return Not(_as_condition(nodes[1]), _span(*nodes))

    def boolean_operand(self, nodes: list[_ParseNode]) -> Expression:
        return _as_condition(nodes[0])

    def comparison(self, nodes: list[_ParseNode]) -> Expression:
        left, operator, right = nodes
        if _is_condition(left) and (polarity := _comparison_polarity(operator, right)) is not None:
            return self._with_polarity(left, polarity, _span(*nodes))
        if _is_condition(right) and (polarity := _comparison_polarity(operator, left)) is not None:
            return self._with_polarity(right, polarity, _span(*nodes))
        return Comparison(
            _as_operand(left), ComparisonOperator(str(operator)), _as_operand(right), _span(*nodes)
        )

    def _with_polarity(self, condition: Expression, polarity: bool, span: Span) -> Expression:
        """Return `condition` if `polarity` is true, and the negation of `condition` otherwise."""
        return replace(condition, span=span) if polarity else Not(condition, span)

    def lookup(self, nodes: list[_ParseNode]) -> Expression:
        negated = nodes[1] == "not"
        operator = LookupOperator(str(nodes[2 if negated else 1]))
        values = tuple(_as_operand(node) for node in nodes[1:] if not isinstance(node, Token))
        condition = Lookup(_as_operand(nodes[0]), operator, values, _span(*nodes))
        return Not(condition, condition.span) if negated else condition

    def addition(self, nodes: list[_ParseNode]) -> Call:
        left, sign, right = nodes
        arguments = (_as_operand(left), _as_operand(right))
        return Call(_ARITHMETIC[str(sign)], False, arguments, _span(*nodes), str(sign))

    multiplication = addition

    def unary_minus(self, nodes: list[_ParseNode]) -> Operand:
        sign, node = nodes
        operand, span = _as_operand(node), _span(*nodes)
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(-operand.value, span)  # type: ignore[operator]
        return Call("subtract", False, (Literal(0, _span(sign)), operand), span, "-")

    negative_number = unary_minus

    def group(self, nodes: list[_ParseNode]) -> Expression:
        return replace(_as_condition(nodes[1]), span=_span(*nodes))

    def call(self, nodes: list[_ParseNode | None]) -> Call:
        name, tilde, *rest = nodes
        assert isinstance(name, Token)  # noqa: S101 (a call starts with a NAME token)
        arguments = tuple(
            _as_operand(node) for node in rest if node and not isinstance(node, Token)
        )
        last = rest[-1]
        assert isinstance(last, Token)  # noqa: S101 (a call ends with a closing parenthesis)
        return Call(str(name), tilde is not None, arguments, _span(name, last))

    def field(self, nodes: list[Token | None]) -> Field:
        optional, *parts = nodes
        names = [part for part in parts if part is not None]
        return Field(
            ".".join(map(_field_name_part, names)),
            optional is not None,
            _span(optional or names[0], names[-1]),
        )

    def number(self, nodes: list[Token]) -> Literal:
        (token,) = nodes
        if len(token) > MAX_NUMBER_LENGTH:
            _refuse(token, f"this number has more than {MAX_NUMBER_LENGTH} characters")
        value = int(token) if token.isdigit() else float(token)
        return Literal(value, _span(token))

    def text(self, nodes: list[Token]) -> Literal:
        return Literal(_unescape(nodes[0]), _span(nodes[0]))

    def raw_text(self, nodes: list[Token]) -> Literal:
        return Literal(str(nodes[0][3:-3]), _span(nodes[0]))

    def true(self, nodes: list[Token]) -> Literal:
        return Literal(True, _span(nodes[0]))

    def false(self, nodes: list[Token]) -> Literal:
        return Literal(False, _span(nodes[0]))

    def null(self, nodes: list[Token]) -> Literal:
        return Literal(None, _span(nodes[0]))
