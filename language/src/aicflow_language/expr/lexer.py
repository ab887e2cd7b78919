"""From characters to tokens: the words, numbers, texts and signs of an expression."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final, NamedTuple

from aicflow_language.expr.errors import ExpressionError, Span
from aicflow_language.expr.limits import MAX_CHARACTERS, MAX_INTEGER, MAX_TOKENS

KEYWORDS: Final = frozenset({"if", "else", "for", "in", "and", "or", "not"})

_CONSTANTS: Final[dict[str, bool | None]] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}

NO_NAMES: Final = KEYWORDS | _CONSTANTS.keys()
"""Words that cannot be the name of a root or a variable."""

_ALIASES: Final = {"&&": "and", "||": "or", "!": "not"}

_UNSUPPORTED: Final = {
    "===": "Write '=='; it already compares exactly, without conversion.",
    "!==": "Write '!='; it already compares exactly, without conversion.",
    "**": "There is no power operator. Write the product, such as x * x.",
    "<<": "There are no shifts. Multiply instead.",
    ">>": "There are no shifts. Divide with // instead.",
    "<>": "Write '!='.",
    ":=": "Expressions cannot assign. Put the value in vars or in a node of its own.",
    "->": None,
    "=>": "There are no functions to define. For each item of a list, write [expression for x in list].",
    "...": "Write the items one by one, or join lists with +.",
    "=": "Write '==' to compare. Expressions cannot assign.",
    "&": "Write 'and'.",
    "|": "Write 'or'.",
    "^": "There are no operators on bits.",
    "~": "Write 'not'.",
    "?": "Write a choice as: value if condition else other. For a default, write value ?? other.",
    "$": "Names have no '$'. Write input.name, vars.name or nodes.id.output.name.",
    "@": None,
    ";": "An expression is one value. Put further steps in nodes of their own.",
    "`": "Write texts with \" or ', and join them with +.",
    "\\": "Outside of texts there is no use for a backslash; a line may simply be broken.",
    "#": "Expressions have no comments.",
}

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]++)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*+)"
    r"|(?P<number>[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)"
    r"|(?P<text>\"(?:[^\"\\\n]|\\[^\n])*+\"|'(?:[^'\\\n]|\\[^\n])*+')"
    r"|(?P<unsupported>===|!==|\*\*|<<|>>|<>|:=|->|=>|\.\.\.|=(?!=)|&(?!&)|\|(?!\|)|[\^~$@;`\\#]|\?(?![?.\[]))"
    r"|(?P<operator>\?\?|\?\.|\?\[|==|!=|<=|>=|//|&&|\|\||[-+*/%<>()\[\]{},:.!])"
)


class Token(NamedTuple):
    """One token. `kind` is the operator or keyword itself (aliases resolved), or `name`, `literal` or `end`."""

    kind: str
    text: str
    start: int
    end: int
    value: bool | int | float | str | None = None

    @property
    def span(self) -> Span:
        """Where the token stands."""
        return self.start, self.end

    @property
    def is_word(self) -> bool:
        """Whether it can stand after a dot: any identifier, keywords and constants included."""
        return self.text[:1].isalpha() or self.text[:1] == "_"


def tokenize(source: str) -> list[Token]:
    """The tokens of the source, with an `end` token last. Raises ExpressionError."""
    if len(source) > MAX_CHARACTERS:
        raise ExpressionError(
            "expr.too-large",
            f"The expression has {len(source):,} characters; {MAX_CHARACTERS:,} are the most",
            (MAX_CHARACTERS, len(source)),
            "Split it over several vars or nodes, or use a code node.",
        )
    tokens: list[Token] = []
    position = 0
    for match in _TOKEN.finditer(source):
        if match.start() != position:
            break
        kind = match.lastgroup
        if kind == "name":
            text = match[0]
            end = match.end()
            if text in _CONSTANTS:
                tokens.append(Token("literal", text, position, end, _CONSTANTS[text]))
            else:
                tokens.append(Token(text if text in KEYWORDS else "name", text, position, end))
        elif kind == "operator":
            text = match[0]
            end = match.end()
            tokens.append(Token(_ALIASES.get(text, text), text, position, end))
        elif kind == "space":
            end = match.end()
        else:
            end = match.end()
            tokens.append(Token("literal", match[0], position, end, _constant(match, source)))
        position = end
    if position < len(source):
        raise _unreadable(source, position)
    if len(tokens) > MAX_TOKENS:
        raise ExpressionError(
            "expr.too-large",
            f"The expression has {len(tokens):,} words and signs; {MAX_TOKENS:,} are the most",
            (tokens[MAX_TOKENS].start, len(source)),
            "Split it over several vars or nodes, or use a code node.",
        )
    tokens.append(Token("end", "", len(source), len(source)))
    return tokens


def _constant(match: re.Match[str], source: str) -> int | float | str:
    """The value of a number or text."""
    text, start, end = match[0], match.start(), match.end()
    if match.lastgroup == "text":
        return unescape(text, start)
    if match.lastgroup == "number":
        return _number(text, source, start, end)
    raise _unsupported(text, start, end)


def _number(text: str, source: str, start: int, end: int) -> int | float:
    after = source[end : end + 1]
    if after.isalnum() or after == "_":
        raise ExpressionError(
            "expr.syntax",
            f"'{after}' cannot stand directly after a number",
            (start, end + 1),
            "Numbers are written like 12, 0.5 or 1e6: decimal, without '_' or letters.",
        )
    if text.isdigit():
        if len(text) > 1 and text[0] == "0":
            raise ExpressionError("expr.syntax", "A number cannot start with 0", (start, end), "Leave the 0 out.")
        if len(text) > 40 or (value := int(text)) >= MAX_INTEGER:
            raise ExpressionError("expr.too-large", "The number is too large; integers stay below 2^128", (start, end))
        return value
    if text[0] == "0" and text[1].isdigit():
        raise ExpressionError("expr.syntax", "A number cannot start with 0", (start, end), "Leave the 0 out.")
    number = float(text)
    if math.isinf(number):
        raise ExpressionError("expr.too-large", "The number is too large for a float", (start, end))
    return number


def _unsupported(text: str, start: int, end: int) -> ExpressionError:
    code = "expr.syntax" if text == "=" else "expr.unsupported"
    return ExpressionError(code, f"'{text}' is not part of the language", (start, end), _UNSUPPORTED[text])


def _unreadable(source: str, position: int) -> ExpressionError:
    character = source[position]
    if character in "\"'":
        line_end = source.find("\n", position)
        end = len(source) if line_end < 0 else line_end
        return ExpressionError(
            "expr.syntax",
            "The text is not closed",
            (position, end),
            f"Close it with {character} on the same line; write a line break as \\n.",
        )
    plain = plain_spelling(character)
    if plain is not None:
        hint = f"It looks like {plain}; write the plain character."
    else:
        hint = 'Names use the letters a-z, digits and _. Write other keys as ["key"].'
    return ExpressionError(
        "expr.syntax",
        f"{describe(character)} cannot be used outside of texts",
        (position, position + 1),
        hint,
    )


_SIMPLE: Final = {
    "\\": "\\", "'": "'", '"': '"', "/": "/", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f",
}  # fmt: skip

_DIGITS: Final = {"x": 2, "u": 4, "U": 8}

_ESCAPE: Final = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


def unescape(quoted: str, offset: int) -> str:
    """The text between the quotes with its escapes replaced. `offset` is where it starts in the source."""
    body = quoted[1:-1]
    if "\\" in body:
        pieces: list[str] = []
        at = 0
        for match in _ESCAPE.finditer(body):
            pieces.append(body[at : match.start()])
            pieces.append(_character(match.group(), offset + 1 + match.start()))
            at = match.end()
        pieces.append(body[at:])
        body = "".join(pieces)
    if not body.isascii():
        # a pair of escaped halves means one character, as in JSON; a half alone is no character at all
        try:
            body = body.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ExpressionError(
                "expr.syntax",
                "The text holds half of a surrogate pair",
                (offset, offset + len(quoted)),
                "Write both halves, or the character itself.",
            ) from None
    return body


def _character(escape: str, position: int) -> str:
    letter = escape[1]
    if letter in _SIMPLE:
        return _SIMPLE[letter]
    span = (position, position + len(escape))
    if letter not in _DIGITS:
        hint = "To write a backslash itself, double it."
        raise ExpressionError("expr.syntax", f"'\\{letter}' is not an escape", span, hint)
    if len(escape) == 2:
        message = f"'\\{letter}' needs {_DIGITS[letter]} hexadecimal digits"
        raise ExpressionError("expr.syntax", message, span)
    number = int(escape[2:], 16)
    if number > 0x10FFFF:
        raise ExpressionError("expr.syntax", f"There is no character with the number {number:#x}", span)
    return chr(number)


_LETTERS: Final = dict(
    zip(
        "аеорсухіјѕԁһԛԝАВЕКМНОРСТХІЈЅαινορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijsdhqwABEKMHOPCTXIJSaivopuxABEZHIKMNOPTYX",
        strict=True,
    )
)

_SIGNS: Final = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "´": "'",
    "–": "-", "—": "-", "−": "-", "‐": "-", "×": "*", "÷": "/", "∕": "/", "⁄": "/", "≤": "<=", "≥": ">=",
    "≠": "!=", "…": "...", "٪": "%",
}  # fmt: skip

_NAMED: Final = {" ": "a space", "": "nothing"}


def plain_spelling(character: str) -> str | None:
    """The ASCII that the character looks like, quoted for a message; None when it looks like nothing known."""
    found = _LETTERS.get(character) or _SIGNS.get(character)
    if found is None:
        category = unicodedata.category(character)
        if category == "Cf":
            return _NAMED[""]
        if category == "Zs":
            return _NAMED[" "]
        folded = unicodedata.normalize("NFKC", character)
        found = folded if folded.isascii() and folded != character and folded.isprintable() else None
        if found == " ":
            return _NAMED[" "]
    return f"'{found}'" if found else None


def describe(character: str) -> str:
    """The character with its code point and its Unicode name, so that it can be found."""
    name = unicodedata.name(character, "an unnamed character")
    shown = f"'{character}' " if character.isprintable() and not character.isspace() else ""
    return f"{shown}(U+{ord(character):04X} {name})"
