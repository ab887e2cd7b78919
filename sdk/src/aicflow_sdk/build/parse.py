"""From the source of an expression to its tree. The server has the last word on what is valid; this reads whatever it
can and says where it cannot."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aicflow_sdk.build.trees import (
    RANKS,
    Binary,
    Call,
    Chain,
    Conditional,
    Field,
    Index,
    ListDisplay,
    Literal,
    Loop,
    Method,
    Not,
    ObjectDisplay,
    Root,
    Slice,
    Step,
    Tree,
    Unary,
)
from aicflow_sdk.errors import BuildError

__all__ = ["parse"]

_TOKEN: Final = re.compile(
    r"[ \t\r\n]*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<text>\"(?:[^\"\\\n]|\\[^\n])*\"|'(?:[^'\\\n]|\\[^\n])*')"
    r"|(?P<sign>\?\?|\?\.|\?\[|==|!=|<=|>=|//|&&|\|\||[-+*/%<>()\[\]{},:.!])|(?P<end>\Z))"
)
_CONSTANTS: Final = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ALIASES: Final = {"&&": "and", "||": "or", "!": "not"}
_WORDS: Final = frozenset({"if", "else", "for", "in", "and", "or", "not"})
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "/": "/", '"': '"', "'": "'"}
_DEEPEST: Final = 120
_COMPARE: Final = RANKS["=="]
_NOT: Final = RANKS["and"] + 1


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def parse(text: str) -> Tree:
    """The tree of an expression. Raises BuildError that shows the place."""
    parser = _Parser(text)
    tree = parser.expression()
    parser.expect("end")
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._position = 0
        self._depth = 0

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while not tokens or tokens[-1].kind != "end":
            found = _TOKEN.match(self._text, position)
            if found is None:
                rest = len(self._text) - len(self._text[position:].lstrip(" \t\r\n"))
                raise self._error("This cannot stand in an expression", rest)
            kind = str(found.lastgroup)
            word = found[kind]
            position = found.end()
            if kind == "sign" or (kind == "name" and word in _WORDS):
                kind = _ALIASES.get(word, word)
            tokens.append(_Token(kind, word, found.start(str(found.lastgroup))))
        return tokens

    @property
    def token(self) -> _Token:
        return self._tokens[self._position]

    def advance(self) -> _Token:
        token = self.token
        self._position += 1
        return token

    def accept(self, kind: str) -> bool:
        found = self.token.kind == kind
        self._position += found
        return found

    def expect(self, kind: str) -> _Token:
        if self.token.kind != kind:
            wanted = "the end" if kind == "end" else "a name" if kind == "name" else repr(kind)
            raise self._error(f"{wanted.capitalize()} was expected")
        return self.advance()

    def _error(self, message: str, position: int | None = None) -> BuildError:
        at = self.token.start if position is None else position
        return BuildError(f"{message}, at character {at + 1} of the expression {self._text[:200]!r}.")

    def expression(self) -> Tree:
        """A choice, or anything that binds tighter."""
        self._deeper()
        tree = self.operators(RANKS["??"])
        if self.accept("if"):
            test = self.operators(RANKS["??"])
            self.expect("else")
            tree = Conditional(tree, test, self.expression())
        self._depth -= 1
        return tree

    def operators(self, rank: int) -> Tree:
        """Operators that bind at least as tightly as `rank`."""
        left: Tree
        if self.token.kind == "not" and rank <= _NOT:
            self._deeper()
            self.advance()
            left = Not(self.operators(_NOT))
            self._depth -= 1
        else:
            left = self._unary()
        while (found := self._rank()) >= rank:
            if found == _COMPARE:
                left = self._comparisons(left)
            else:
                operator = self.advance().kind
                left = Binary(operator, left, self.operators(found + 1))
        return left

    def _rank(self) -> int:
        token = self.token
        if token.kind == "not":
            follows = self._tokens[self._position + 1].kind == "in"
            return _COMPARE if token.text == "not" and follows else 0
        return RANKS.get(token.kind, 0)

    def _comparisons(self, left: Tree) -> Tree:
        """One comparison, or a chain of them as the conjunction that it means."""
        result: Tree | None = None
        while self._rank() == _COMPARE:
            operator = self.advance().kind
            negated = operator == "not"
            if negated:
                operator = self.advance().kind
            right = self.operators(_COMPARE + 1)
            one: Tree = Binary(operator, left, right)
            one = Not(one) if negated else one
            result = one if result is None else Binary("and", result, one)
            left = right
        assert result is not None
        return result

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("The expression is nested too deeply")

    def _unary(self) -> Tree:
        if self.token.kind in ("-", "+"):
            operator = self.advance().kind
            self._deeper()
            operand = self._unary()
            self._depth -= 1
            if isinstance(operand, Literal) and type(operand.value) in (int, float):
                assert isinstance(operand.value, int | float)
                return Literal(-operand.value) if operator == "-" else operand
            return Unary(operator, operand)
        base = self._primary()
        steps: list[Step] = []
        while self.token.kind in (".", "?.", "[", "?["):
            steps.append(self._step())
        return Chain(base, tuple(steps)) if steps else base

    def _step(self) -> Step:
        opening = self.advance().kind
        optional = opening.startswith("?")
        if opening.endswith("."):
            word = self.advance()
            if word.kind != "name" and word.kind not in _WORDS:
                raise self._error("A name was expected", word.start)
            return Method(word.text, self._arguments(), optional) if self.accept("(") else Field(word.text, optional)
        lower = None if self.token.kind == ":" else self.expression()
        if self.accept(":"):
            upper = None if self.token.kind == "]" else self.expression()
            self.expect("]")
            return Slice(lower, upper, optional)
        self.expect("]")
        assert lower is not None
        return Index(lower, optional)

    def _arguments(self) -> tuple[Tree, ...]:
        return tuple(self._items(")"))

    def _items(self, closing: str) -> list[Tree]:
        items: list[Tree] = []
        while not self.accept(closing):
            items.append(self.expression())
            if not self.accept(","):
                self.expect(closing)
                break
        return items

    def _primary(self) -> Tree:
        token = self.advance()
        match token.kind:
            case "number":
                whole = not any(sign in token.text for sign in ".eE")
                return Literal(int(token.text) if whole else float(token.text))
            case "text":
                return Literal(self._unquoted(token))
            case "name" if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text])
            case "name":
                return Call(token.text, self._arguments()) if self.accept("(") else Root(token.text)
            case "(":
                tree = self.expression()
                self.expect(")")
                return tree
            case "[":
                return self._list()
            case "{":
                return self._object()
        raise self._error("A value was expected", token.start)

    def _list(self) -> Tree:
        if self.accept("]"):
            return ListDisplay(())
        first = self.expression()
        if not self.accept("for"):
            more = self._items("]") if self.accept(",") else (self.expect("]"), [])[1]
            return ListDisplay((first, *more))
        variable = self.expect("name").text
        self.expect("in")
        items = self.operators(RANKS["??"])
        condition = self.operators(RANKS["??"]) if self.accept("if") else None
        self.expect("]")
        return Loop(first, variable, items, condition)

    def _object(self) -> Tree:
        items: list[tuple[Tree, Tree]] = []
        while not self.accept("}"):
            key = self.expression()
            self.expect(":")
            items.append((key, self.expression()))
            if not self.accept(","):
                self.expect("}")
                break
        return ObjectDisplay(tuple(items))

    def _unquoted(self, token: _Token) -> str:
        def character(found: re.Match[str]) -> str:
            code = found[1] or found[2] or found[3]
            if code is not None:
                return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else self._bad_escape(token)
            return _SIMPLE[found[4]] if found[4] in _SIMPLE else self._bad_escape(token)

        text = _ESCAPE.sub(character, token.text[1:-1])
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._error("Half of a surrogate pair stands in a text", token.start) from None

    def _bad_escape(self, token: _Token) -> str:
        raise self._error("An escape that is none stands in a text", token.start)
