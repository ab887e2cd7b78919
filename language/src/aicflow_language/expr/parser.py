"""From tokens to the syntax tree: a Pratt parser, one rank of operators at a time."""

from __future__ import annotations

from typing import Final

from aicflow_language.expr import postfix
from aicflow_language.expr.ast import (
    Arithmetic,
    Call,
    Chain,
    Coalesce,
    Comparison,
    Comprehension,
    Conditional,
    DictDisplay,
    ListDisplay,
    Literal,
    Logic,
    Name,
    Node,
    Not,
    Unary,
)
from aicflow_language.expr.errors import ExpressionError
from aicflow_language.expr.lexer import Token, tokenize
from aicflow_language.expr.signatures import check_call
from aicflow_language.expr.stream import TokenStream

__all__ = ["RANKS", "parse"]

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


def parse(source: str) -> Node:
    """The syntax tree of an expression. Raises ExpressionError with the position of the first thing that is wrong."""
    parser = _Parser(source)
    if parser.tokens.kind == "end":
        raise ExpressionError("expr.syntax", "The expression is empty", (0, len(source)), "Write a value.")
    node = parser.expression()
    if parser.tokens.kind != "end":
        raise parser.leftover()
    return node


class _Parser:
    def __init__(self, source: str) -> None:
        self.tokens = TokenStream(tokenize(source))

    def expression(self, rank: int = _ANY) -> Node:
        """The longest expression made of operators that bind tighter than `rank`."""
        tokens = self.tokens
        tokens.enter()
        start = tokens.token.start
        node = self._operand(rank)
        while (found := RANKS.get(tokens.kind, _ANY)) > rank:
            node = self._continue(node, start, found)
        tokens.leave()
        return node

    def _continue(self, left: Node, start: int, rank: int) -> Node:
        """The operators of one rank that follow `left`, kept flat in one node. `start` is where `left` starts, with
        the parentheses around it."""
        if rank == _CONDITIONAL:
            return self._conditional(left, start)
        if rank == _COMPARE:
            return self._comparison(left, start)
        tokens = self.tokens
        operators: list[str] = []
        operands = [left]
        tallest = tokens.height
        while RANKS.get(tokens.kind) == rank:
            operators.append(tokens.advance().kind)
            operands.append(self.expression(rank))
            tallest = max(tallest, tokens.height)
        span = (start, tokens.last.end)
        if rank == _COALESCE:
            return tokens.grown(Coalesce(tuple(operands), span), tallest)
        if rank in (_OR, _AND):
            return tokens.grown(Logic(operators[0], tuple(operands), span), tallest)
        return tokens.grown(Arithmetic(left, tuple(zip(operators, operands[1:], strict=True)), span), tallest)

    def _comparison(self, left: Node, start: int) -> Node:
        tokens = self.tokens
        rest: list[tuple[str, Node]] = []
        tallest = tokens.height
        while RANKS.get(tokens.kind) == _COMPARE:
            operator = tokens.advance()
            kind = operator.kind
            if kind == "not":
                if operator.text == "!" or tokens.kind != "in":
                    raise ExpressionError(
                        "expr.syntax", f"'{operator.text}' cannot stand here", operator.span, "Did you mean 'not in'?"
                    )
                tokens.advance()
                kind = "not in"
            rest.append((kind, self.expression(_COMPARE)))
            tallest = max(tallest, tokens.height)
        return tokens.grown(Comparison(left, tuple(rest), (start, tokens.last.end)), tallest)

    def _conditional(self, then: Node, start: int) -> Node:
        tokens = self.tokens
        tallest = tokens.height
        tokens.advance()
        test = self.expression(_CONDITIONAL)
        tallest = max(tallest, tokens.height)
        if tokens.kind != "else":
            hint = "Write a choice as: value if condition else other."
            raise tokens.unexpected("'else' and the other value", hint)
        tokens.advance()
        otherwise = self.expression()
        span = (start, tokens.last.end)
        return tokens.grown(Conditional(test, then, otherwise, span), max(tallest, tokens.height))

    def _operand(self, rank: int) -> Node:
        """A prefix operator with its operand, or a primary with the steps behind it."""
        tokens = self.tokens
        token = tokens.token
        if token.kind == "not":
            if rank > _NOT:
                message = f"'{token.text}' cannot stand after '{tokens.last.text}'"
                raise ExpressionError("expr.syntax", message, token.span, f"Write parentheses: ({token.text} …).")
            tokens.advance()
            operand = self.expression(_NOT)
            return tokens.grown(Not(operand, (token.start, tokens.last.end)), tokens.height)
        if token.kind in ("-", "+"):
            tokens.advance()
            operand = self.expression(_UNARY)
            span = (token.start, tokens.last.end)
            if isinstance(operand, Literal) and type(operand.value) in (int, float):
                value = operand.value
                assert isinstance(value, int | float)
                return Literal(-value if token.kind == "-" else value, span)
            return tokens.grown(Unary(token.kind, operand, span), tokens.height)
        base = self._primary()
        steps = postfix.steps(tokens, self.expression)
        if not steps:
            return base
        return tokens.grown(Chain(base, tuple(steps), (token.start, tokens.last.end)), tokens.height)

    def _primary(self) -> Node:
        tokens = self.tokens
        token = tokens.token
        tokens.height = 0
        match token.kind:
            case "literal":
                tokens.advance()
                return Literal(token.value, token.span)
            case "name":
                tokens.advance()
                return self._call(token.text, token.start) if tokens.kind == "(" else Name(token.text, token.span)
            case "(":
                return self._parenthesised()
            case "[":
                return self._list()
            case "{":
                return self._object()
        raise tokens.unexpected("a value")

    def _call(self, function: str, start: int) -> Node:
        name_span = (start, start + len(function))
        arguments, end = postfix.arguments(self.tokens, self.expression)
        span = (start, end)
        check_call(function, arguments, name_span, span)
        return self.tokens.grown(Call(function, tuple(arguments), span), self.tokens.height)

    def _parenthesised(self) -> Node:
        tokens = self.tokens
        opening = tokens.open()
        if tokens.kind == ")":
            raise tokens.unexpected("a value between the parentheses")
        node = self.expression()
        if tokens.kind == ",":
            raise ExpressionError(
                "expr.unsupported", "There are no tuples", (opening.start, tokens.token.end), "Write a list: [a, b]."
            )
        tokens.close(opening, ")")
        return node

    def _list(self) -> Node:
        tokens = self.tokens
        opening = tokens.open()
        items: list[Node] = []
        tallest = 0
        while tokens.kind != "]":
            items.append(self.expression())
            tallest = max(tallest, tokens.height)
            if tokens.kind == "for" and len(items) == 1:
                return self._comprehension(items[0], opening)
            if tokens.kind != ",":
                break
            tokens.advance()
        end = tokens.close(opening, "]").end
        return tokens.grown(ListDisplay(tuple(items), (opening.start, end)), tallest)

    def _comprehension(self, element: Node, opening: Token) -> Node:
        tokens = self.tokens
        tallest = tokens.height
        tokens.advance()
        variable = tokens.token
        if variable.kind != "name":
            raise tokens.unexpected("the name of a variable", "Write [expression for x in list].")
        tokens.advance()
        if tokens.kind == ",":
            hint = "Loop over keys(object) and take object[key] for the value."
            raise ExpressionError("expr.unsupported", "A loop has one variable", tokens.token.span, hint)
        if tokens.kind != "in":
            raise tokens.unexpected("'in'", "Write [expression for x in list].")
        tokens.advance()
        iterable = self.expression(_CONDITIONAL)
        tallest = max(tallest, tokens.height)
        condition: Node | None = None
        if tokens.kind == "if":
            tokens.advance()
            condition = self.expression(_CONDITIONAL)
            tallest = max(tallest, tokens.height)
        if tokens.kind in ("if", "for"):
            hint = "Join conditions with 'and'." if tokens.kind == "if" else "Put one loop inside the other."
            message = f"A loop has one '{tokens.kind}'"
            raise ExpressionError("expr.unsupported", message, tokens.token.span, hint)
        end = tokens.close(opening, "]").end
        span = (opening.start, end)
        return tokens.grown(Comprehension(element, variable.text, iterable, condition, span), tallest)

    def _object(self) -> Node:
        tokens = self.tokens
        opening = tokens.open()
        items: list[tuple[Node, Node]] = []
        tallest = 0
        while tokens.kind != "}":
            key = self.expression()
            tallest = max(tallest, tokens.height)
            if tokens.kind != ":":
                raise tokens.unexpected("':' and a value", 'Write objects like {"key": value}.')
            tokens.advance()
            items.append((key, self.expression()))
            tallest = max(tallest, tokens.height)
            if tokens.kind == "for":
                raise ExpressionError(
                    "expr.unsupported",
                    "A loop makes a list, not an object",
                    tokens.token.span,
                    "Make a list of objects, or use a code node.",
                )
            if tokens.kind != ",":
                break
            tokens.advance()
        end = tokens.close(opening, "}").end
        return tokens.grown(DictDisplay(tuple(items), (opening.start, end)), tallest)

    def leftover(self) -> ExpressionError:
        """The expression is complete, and yet something follows it."""
        token = self.tokens.token
        hint: str | None = None
        if self.tokens.last.text in _STATEMENTS:
            hint = "Expressions only compute values. Use a code node for programs."
        elif token.kind in (")", "]", "}"):
            hint = "There is no opening bracket for it."
        elif token.kind == "literal" and token.text[0] in "\"'":
            hint = 'Join texts with +. There are no prefixed texts such as f"…" or r"…".'
        elif token.text == "is":
            hint = "Write '==' to compare."
        elif token.kind in ("else", ":"):
            hint = "Write a choice as: value if condition else other."
        elif token.kind == "for":
            hint = "Write a loop in brackets: [expression for x in list]."
        return self.tokens.unexpected("an operator or the end", hint)
