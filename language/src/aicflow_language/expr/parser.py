"""From tokens to the syntax tree: a Pratt parser, one rank of operators at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from aicflow_language.expr.ast import (
    Arithmetic,
    Call,
    Chain,
    Coalesce,
    Comparison,
    Comprehension,
    Conditional,
    DictDisplay,
    Field,
    Index,
    ListDisplay,
    Literal,
    Logic,
    Method,
    Name,
    Node,
    Not,
    Slice,
    Step,
    Unary,
    children,
)
from aicflow_language.expr.errors import ExpressionError, Span
from aicflow_language.expr.functions import check_call, check_method
from aicflow_language.expr.lexer import NO_NAMES, Token, tokenize
from aicflow_language.expr.limits import MAX_NESTING, MAX_OPERATOR_NESTING

_CONDITIONAL, _COALESCE, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _UNARY = range(1, 10)

RANKS: Final = {
    "if": _CONDITIONAL,
    "??": _COALESCE,
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not"), _COMPARE),
    **dict.fromkeys(("+", "-"), _ADD),
    **dict.fromkeys(("*", "/", "//", "%"), _MULTIPLY),
}
"""How tightly each operator binds."""

_ANY: Final = 0

_STATEMENTS: Final = frozenset({"lambda", "await", "yield", "import", "return", "def", "new", "function", "typeof"})

_LOOP_HINT: Final = "Write [expression for x in list]."
_CHOICE_HINT: Final = "Write a choice as: value if condition else other."


def parse(source: str) -> Node:
    """The syntax tree of an expression. Raises ExpressionError with the position of the first thing that is wrong."""
    path = _plain_path(source)
    if path is not None:
        return path
    tokens = tokenize(source)
    parser = _Parser(tokens)
    if parser.kind == "end":
        raise ExpressionError("expr.syntax", "The expression is empty", (0, len(source)), "Write a value.")
    node = parser.expression()
    if parser.kind != "end":
        raise parser.leftover()
    if len(tokens) > MAX_OPERATOR_NESTING // 2:  # fewer cannot be nested so deeply
        _check_height(node)
    return node


_PLAIN: Final = re.compile(
    r"([A-Za-z_][A-Za-z0-9_]*+)"
    r"((?:\.[A-Za-z_][A-Za-z0-9_]*+|\[(?:'[ -&(-\[\]-~]*+'|\"[ !#-\[\]-~]*+\"|0|[1-9][0-9]{0,8}+)\])*+)"
)
_PLAIN_STEP: Final = re.compile(r"\.(\w++)|\[(?:(['\"])(.*?)\2|([0-9]++))\]")
_MOST_PLAIN: Final = 512  # characters that are certainly within all limits


def _plain_path(source: str) -> Node | None:
    """The tree of a name and the steps from it, without spaces and escapes: what most expressions are, in a fifth of
    the time. None for anything else."""
    match = _PLAIN.fullmatch(source) if len(source) <= _MOST_PLAIN else None
    if match is None or match[1] in NO_NAMES:
        return None
    start = match.end(1)
    base = Name(match[1], (0, start))
    if start == len(source):
        return base
    steps: list[Step] = []
    for step in _PLAIN_STEP.finditer(source, start):
        begin, end = step.span()
        name, quote, text, number = step.groups()
        if name is not None:
            steps.append(Field(name, False, (begin + 1, end)))
        else:
            key = int(number) if quote is None else text
            steps.append(Index(Literal(key, (begin + 1, end - 1)), False, (begin, end)))
    return Chain(base, tuple(steps), (0, len(source)))


def _check_height(tree: Node) -> None:
    """Refuse a tree that is too high to be walked, here and while it is evaluated."""
    level = [tree]
    for _ in range(MAX_OPERATOR_NESTING + 1):
        level = [child for node in level for child in children(node)]
        if not level:
            return
    raise _too_deep(f"More than {MAX_OPERATOR_NESTING} operators and brackets are nested", level[0].span)


def _too_deep(message: str, span: Span) -> ExpressionError:
    return ExpressionError("expr.too-deep", message, span, "Move a part of it to vars or to a node of its own.")


class _Parser:
    """A cursor over the tokens of one expression: `token` is the current one, `last` the one before it."""

    __slots__ = ("_brackets", "_depth", "_position", "_tokens", "kind", "last", "token")

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._brackets = 0
        self._depth = 0
        self.token = self.last = tokens[0]
        self.kind = self.token.kind

    # the cursor

    def advance(self) -> Token:
        """Step over the current token and return it; the `end` token is never stepped over."""
        token = self.token
        if token.kind != "end":
            self._position += 1
            self.last = token
            self.token = self._tokens[self._position]
            self.kind = self.token.kind
        return token

    def open(self) -> Token:
        """Step over an opening bracket."""
        self._brackets += 1
        if self._brackets > MAX_NESTING:
            raise _too_deep(f"More than {MAX_NESTING} brackets are nested", self.token.span)
        return self.advance()

    def close(self, opening: Token, bracket: str) -> Span:
        """Step over the closing bracket that must come now. Returns what the two enclose."""
        if self.kind != bracket:
            if self.kind == "end":
                raise ExpressionError("expr.syntax", f"'{opening.text}' is never closed with '{bracket}'", opening.span)
            raise self.unexpected(f"'{bracket}'")
        self._brackets -= 1
        return opening.start, self.advance().end

    def unexpected(self, wanted: str, hint: str | None = None) -> ExpressionError:
        """The current token is not what the grammar wants here."""
        token = self.token
        text = token.text if len(token.text) <= 30 else token.text[:27] + "…"
        found = "the end of the expression" if token.kind == "end" else f"'{text}'"
        return ExpressionError("expr.syntax", f"Expected {wanted}, found {found}", token.span, hint)

    def unsupported(self, message: str, hint: str) -> ExpressionError:
        """The current token begins something that the language does not have."""
        return ExpressionError("expr.unsupported", message, self.token.span, hint)

    # operators

    def expression(self, rank: int = _ANY) -> Node:
        """The longest expression made of operators that bind tighter than `rank`."""
        self._depth += 1
        if self._depth > MAX_OPERATOR_NESTING:
            message = f"More than {MAX_OPERATOR_NESTING} operators and brackets are nested"
            raise _too_deep(message, self.token.span)
        start = self.token.start
        node = self._operand(rank)
        while (found := RANKS.get(self.kind, _ANY)) > rank:
            node = self._continue(node, start, found)
        self._depth -= 1
        return node

    def _continue(self, left: Node, start: int, rank: int) -> Node:
        """The operators of one rank that follow `left`, kept flat in one node. `start` is where `left` starts, with
        the parentheses around it."""
        if rank == _CONDITIONAL:
            self.advance()
            test = self.expression(_CONDITIONAL)
            if self.kind != "else":
                raise self.unexpected("'else' and the other value", _CHOICE_HINT)
            self.advance()
            otherwise = self.expression()
            return Conditional(test, left, otherwise, (start, self.last.end))
        rest: list[tuple[str, Node]] = []
        while RANKS.get(self.kind) == rank:
            operator = self._comparison_sign() if rank == _COMPARE else self.advance().kind
            rest.append((operator, self.expression(rank)))
        span = (start, self.last.end)
        if rank == _COMPARE:
            return Comparison(left, tuple(rest), span)
        if rank in (_ADD, _MULTIPLY):
            return Arithmetic(left, tuple(rest), span)
        operands = (left, *(operand for _, operand in rest))
        return Coalesce(operands, span) if rank == _COALESCE else Logic(rest[0][0], operands, span)

    def _comparison_sign(self) -> str:
        """The operator of a comparison, of which `not in` has two tokens."""
        operator = self.advance()
        if operator.kind != "not":
            return operator.kind
        if operator.text == "!" or self.kind != "in":
            message = f"'{operator.text}' cannot stand here"
            raise ExpressionError("expr.syntax", message, operator.span, "Did you mean 'not in'?")
        self.advance()
        return "not in"

    def _operand(self, rank: int) -> Node:
        """A prefix operator with its operand, or a primary with the steps behind it."""
        token = self.token
        if token.kind == "not":
            if rank > _NOT:
                message = f"'{token.text}' cannot stand after '{self.last.text}'"
                raise ExpressionError("expr.syntax", message, token.span, f"Write parentheses: ({token.text} …).")
            self.advance()
            operand = self.expression(_NOT)
            return Not(operand, (token.start, self.last.end))
        if token.kind in ("-", "+"):
            self.advance()
            operand = self.expression(_UNARY)
            span = (token.start, self.last.end)
            if isinstance(operand, Literal) and type(operand.value) in (int, float):
                value = operand.value
                assert isinstance(value, int | float)
                return Literal(-value if token.kind == "-" else value, span)
            return Unary(token.kind, operand, span)
        base = self._primary()
        steps = self._steps()
        return Chain(base, steps, (token.start, self.last.end)) if steps else base

    # values

    def _primary(self) -> Node:
        token = self.token
        match token.kind:
            case "literal":
                self.advance()
                return Literal(token.value, token.span)
            case "name":
                self.advance()
                if self.kind != "(":
                    return Name(token.text, token.span)
                arguments, end = self._arguments()
                span = (token.start, end)
                check_call(token.text, arguments, token.span, span)
                return Call(token.text, arguments, span)
            case "(":
                return self._parenthesised()
            case "[":
                return self._list()
            case "{":
                opening = self.open()
                items = tuple(
                    self._items("}", self._pair, "A loop makes a list, not an object", "Make a list of objects.")
                )
                return DictDisplay(items, self.close(opening, "}"))
        raise self.unexpected("a value")

    def _parenthesised(self) -> Node:
        opening = self.open()
        if self.kind == ")":
            raise self.unexpected("a value between the parentheses")
        node = self.expression()
        if self.kind == ",":
            span = (opening.start, self.token.end)
            raise ExpressionError("expr.unsupported", "There are no tuples", span, "Write a list: [a, b].")
        self.close(opening, ")")
        return node

    def _items[T](self, closing: str, read: Callable[[], T], no_loop: str = "", hint: str = "") -> Iterator[T]:
        """What is written with commas between it, up to the closing bracket. `no_loop` says that there are no loops."""
        while self.kind != closing:
            yield read()
            if self.kind == "for" and no_loop:
                raise self.unsupported(no_loop, hint)
            if self.kind != ",":
                break
            self.advance()

    def _pair(self) -> tuple[Node, Node]:
        key = self.expression()
        if self.kind != ":":
            raise self.unexpected("':' and a value", 'Write objects like {"key": value}.')
        self.advance()
        return key, self.expression()

    def _list(self) -> Node:
        opening = self.open()
        first: tuple[Node, ...] = () if self.kind == "]" else (self.expression(),)
        if self.kind == "for":
            return self._comprehension(first[0], opening)
        if first and self.kind == ",":
            self.advance()
            first += tuple(self._items("]", self.expression))
        return ListDisplay(first, self.close(opening, "]"))

    def _comprehension(self, element: Node, opening: Token) -> Node:
        self.advance()
        variable = self.token
        if variable.kind != "name":
            raise self.unexpected("the name of a variable", _LOOP_HINT)
        self.advance()
        if self.kind == ",":
            raise self.unsupported(
                "A loop has one variable", "Loop over keys(object) and take object[key] for the value."
            )
        if self.kind != "in":
            raise self.unexpected("'in'", _LOOP_HINT)
        self.advance()
        iterable = self.expression(_CONDITIONAL)
        condition: Node | None = None
        if self.kind == "if":
            self.advance()
            condition = self.expression(_CONDITIONAL)
        if self.kind in ("if", "for"):
            hint = "Join conditions with 'and'." if self.kind == "if" else "Put one loop inside the other."
            raise self.unsupported(f"A loop has one '{self.kind}'", hint)
        return Comprehension(element, variable.text, iterable, condition, self.close(opening, "]"))

    # what follows a value

    def _steps(self) -> tuple[Step, ...]:
        """The steps that lead on from the value just read, none if something else follows."""
        steps: list[Step] = []
        while True:
            if self.kind in (".", "?."):
                steps.append(self._field_or_method())
            elif self.kind in ("[", "?["):
                steps.append(self._subscript())
            elif self.kind == "(":
                raise self.unsupported("Only functions can be called", "Write function(value) or value.method().")
            else:
                return tuple(steps)

    def _field_or_method(self) -> Step:
        dot = self.advance()
        optional = dot.kind == "?."
        name = self.token
        if name.kind != "name" and not name.is_word:
            hint = 'Write other keys as ["key"], and items of a list as [0].'
            raise self.unexpected(f"a name after '{dot.text}'", hint)
        self.advance()
        if self.kind != "(":
            return Field(name.text, optional, name.span)
        arguments, end = self._arguments()
        check_method(name.text, arguments, name.span, (name.start, end))
        return Method(name.text, arguments, optional, (name.start, end))

    def _subscript(self) -> Step:
        opening = self.open()
        optional = opening.kind == "?["
        if self.kind == "]":
            raise self.unexpected("an index or a key")
        lower = None if self.kind == ":" else self.expression()
        if self.kind != ":":
            assert lower is not None
            return Index(lower, optional, self.close(opening, "]"))
        self.advance()
        upper = None if self.kind in ("]", ":") else self.expression()
        if self.kind == ":":
            raise self.unsupported("Slices have no step", "Write [start:end].")
        return Slice(lower, upper, optional, self.close(opening, "]"))

    def _arguments(self) -> tuple[tuple[Node, ...], int]:
        """The arguments between the parentheses, and the end of the closing one."""
        opening = self.open()
        hint = "Write function([expression for x in list])."
        arguments = tuple(self._items(")", self._argument, "A loop needs brackets", hint))
        return arguments, self.close(opening, ")")[1]

    def _argument(self) -> Node:
        if self.kind in ("*", "/"):
            raise self.unexpected("an argument")
        return self.expression()

    def leftover(self) -> ExpressionError:
        """The expression is complete, and yet something follows it."""
        token = self.token
        hint: str | None = None
        if self.last.text in _STATEMENTS:
            hint = "Expressions only compute values. Use a code node for programs."
        elif token.kind in (")", "]", "}"):
            hint = "There is no opening bracket for it."
        elif token.kind == "literal" and token.text[0] in "\"'":
            hint = 'Join texts with +. There are no prefixed texts such as f"…" or r"…".'
        elif token.text == "is":
            hint = "Write '==' to compare."
        elif token.kind in ("else", ":"):
            hint = _CHOICE_HINT
        elif token.kind == "for":
            hint = "Write a loop in brackets: [expression for x in list]."
        return self.unexpected("an operator or the end", hint)
