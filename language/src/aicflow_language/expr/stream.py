"""The tokens as the parser reads them: a cursor, the nesting so far, and the wording of surprises."""

from __future__ import annotations

from aicflow_language.expr.ast import Node
from aicflow_language.expr.errors import ExpressionError
from aicflow_language.expr.lexer import Token
from aicflow_language.expr.limits import MAX_NESTING, MAX_OPERATOR_NESTING

__all__ = ["TokenStream"]

_TOO_DEEP = "Move a part of it to vars or to a node of its own."


class TokenStream:
    """A cursor over the tokens of one expression. `height` is that of the tree that was read last."""

    __slots__ = ("_brackets", "_depth", "_position", "_tokens", "height", "kind", "token")

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._brackets = 0
        self._depth = 0
        self.height = 0
        self.token = tokens[0]
        self.kind = self.token.kind

    def advance(self) -> Token:
        """Step over the current token and return it; the `end` token is never stepped over."""
        token = self.token
        if token.kind != "end":
            self._position += 1
            self.token = self._tokens[self._position]
            self.kind = self.token.kind
        return token

    @property
    def last(self) -> Token:
        """The token that was stepped over last; the first one when there was none."""
        return self._tokens[max(self._position - 1, 0)]

    def enter(self) -> None:
        """One more expression inside the ones being read."""
        self._depth += 1
        if self._depth > MAX_OPERATOR_NESTING:
            raise self._too_deep(f"More than {MAX_OPERATOR_NESTING} operators and brackets stand inside one another")

    def leave(self) -> None:
        """The inner expression is complete."""
        self._depth -= 1

    def open(self) -> Token:
        """Step over an opening bracket."""
        self._brackets += 1
        if self._brackets > MAX_NESTING:
            raise self._too_deep(f"More than {MAX_NESTING} brackets stand inside one another")
        return self.advance()

    def close(self, opening: Token, bracket: str) -> Token:
        """Step over the closing bracket that must come now."""
        if self.kind != bracket:
            if self.kind == "end":
                raise ExpressionError("expr.syntax", f"'{opening.text}' is never closed with '{bracket}'", opening.span)
            raise self.unexpected(f"'{bracket}'")
        self._brackets -= 1
        return self.advance()

    def grown[N: Node](self, node: N, tallest: int) -> N:
        """The node, made of parts of which the tallest has this height, once it is sure that it can be walked."""
        self.height = tallest + 1
        if tallest >= MAX_OPERATOR_NESTING:
            raise self._too_deep(f"More than {MAX_OPERATOR_NESTING} operators and brackets stand inside one another")
        return node

    def unexpected(self, wanted: str, hint: str | None = None) -> ExpressionError:
        """The current token is not what the grammar wants here."""
        token = self.token
        found = "the end of the expression" if token.kind == "end" else f"'{_short(token.text)}'"
        return ExpressionError("expr.syntax", f"Expected {wanted}, found {found}", token.span, hint)

    def _too_deep(self, message: str) -> ExpressionError:
        return ExpressionError("expr.too-deep", message, self.token.span, _TOO_DEEP)


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:27] + "…"
