"""Text of a document: `${{ … }}` in it, the escape for a literal `${{`, and expressions inside of f-strings.

Python builds an f-string before we see it. An expression therefore writes itself into the text between two characters
that no text is meant to hold (noncharacters of Unicode) and with a token made anew in every process, so that no data
can pretend to be an expression.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Final

from aicflow_language.expr.ast import Call, Chain, Literal, Name
from aicflow_language.template.scanner import OPENING

from aicflow_sdk.build.source import Source, binary, literal, parse
from aicflow_sdk.errors import BuildError

__all__ = ["OPENING", "Code", "escape", "hole", "mark", "no_marks", "render_text", "text_source"]

_TOKEN: Final = secrets.token_hex(8)
_MARK: Final = re.compile(f"\ufdd0{_TOKEN}:([^\ufdd0\ufdd1]*)\ufdd1")


class Code(str):
    """Text that stands in the document as it is: a `${{` in it is not escaped. For params that hold code, which are
    never interpolated."""

    __slots__ = ()


def mark(source: str) -> str:
    """What an expression puts into an f-string."""
    return f"\ufdd0{_TOKEN}:{source}\ufdd1"


def _split(text: str) -> list[tuple[str, bool]]:
    """The literal pieces of a text and the sources in it (with True), in order; no empty pieces."""
    pieces = _MARK.split(text)
    return [(piece, bool(position % 2)) for position, piece in enumerate(pieces) if piece]


def hole(source: str) -> str:
    """The expression as it stands in text."""
    return f"{OPENING} {source} }}}}"


def escape(text: str) -> str:
    """The text so that it stands for itself."""
    return text.replace(OPENING, "$" + OPENING)


def render_text(text: str) -> str:
    """The text of an f-string as it stands in a document. It is text also when it is one expression and nothing else:
    the document would keep that expression's type, so it is turned into text explicitly. Raises BuildError."""
    parts = _split(text)
    sources = [part for part, is_source in parts if is_source]
    if not sources:
        return escape(text)
    if len(sources) == 1 and all(part.isspace() for part, is_source in parts if not is_source):
        if _is_secret(sources[0]):
            if len(parts) > 1:
                raise BuildError(
                    "A secret with only space around it cannot be distinguished from the secret alone.",
                    hint="Leave the space out, or put it into the secret.",
                )
            return hole(sources[0])
        return hole(text_source(text).text)
    out: list[str] = []
    for part, is_source in parts:
        if is_source and out and out[-1].endswith("$"):
            kept = out[-1].rstrip("$")
            out[-1] = kept + hole(literal("$" * (len(out[-1]) - len(kept))).text)
        out.append(hole(part) if is_source else escape(part))
    return "".join(out)


def text_source(text: str) -> Source:
    """The text of an f-string as an expression whose value is text."""
    first, *others = [_as_text(part) if is_source else literal(part) for part, is_source in _split(text)] or [
        literal("")
    ]
    for other in others:
        first = binary("+", first, other)
    return first


def _as_text(source: str) -> Source:
    match parse(source):
        case Literal(value=str()) | Call(function="str"):
            return Source(source)
    return Source(f"str({source})")


def _is_secret(source: str) -> bool:
    match parse(source):
        case Chain(base=Name(name="secrets")):
            return True
    return False


def no_marks(text: str, what: str) -> str:
    """The text, which must hold no expression. Raises BuildError."""
    if _MARK.search(text):
        shown = _MARK.sub(lambda found: hole(found[1]), text)
        raise BuildError(
            f"{what} cannot hold an expression: {json.dumps(shown, ensure_ascii=False)[:200]}.",
            hint="Only values of params, of a trigger's input and of the output are computed.",
        )
    return text
