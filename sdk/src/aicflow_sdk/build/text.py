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

from aicflow_sdk.build.parse import parse
from aicflow_sdk.build.trees import Binary, Call, Chain, Literal, Root, Tree, source
from aicflow_sdk.errors import BuildError

__all__ = ["OPENING", "Code", "escape", "hole", "mark", "no_marks", "render_text", "split", "text_tree"]

OPENING: Final = "${{"
_TOKEN: Final = secrets.token_hex(8)
_MARK: Final = re.compile(f"\ufdd0{_TOKEN}:([^\ufdd0\ufdd1]*)\ufdd1")


class Code(str):
    """Text that stands in the document as it is: a `${{` in it is not escaped. For params that hold code, which are
    never interpolated."""

    __slots__ = ()


def mark(tree: Tree) -> str:
    """What an expression puts into an f-string."""
    return f"\ufdd0{_TOKEN}:{source(tree)}\ufdd1"


def split(text: str) -> list[str | Tree]:
    """The literal pieces of a text and the expressions in it, in order; no empty pieces."""
    parts: list[str | Tree] = []
    position = 0
    for found in _MARK.finditer(text):
        if found.start() > position:
            parts.append(text[position : found.start()])
        parts.append(parse(found[1]))
        position = found.end()
    if position < len(text):
        parts.append(text[position:])
    return parts


def hole(tree: Tree) -> str:
    """The expression as it stands in text."""
    return f"{OPENING} {source(tree)} }}}}"


def escape(text: str) -> str:
    """The text so that it stands for itself."""
    return text.replace(OPENING, "$" + OPENING)


def render_text(text: str) -> str:
    """The text of an f-string as it stands in a document. It is text also when it is one expression and nothing else:
    the document would keep that expression's type, so it is turned into text explicitly. Raises BuildError."""
    parts = split(text)
    if all(isinstance(part, str) for part in parts):
        return escape(text)
    trees = [part for part in parts if not isinstance(part, str)]
    if len(trees) == 1 and all(part.isspace() for part in parts if isinstance(part, str)):
        if _is_secret(trees[0]):
            if len(parts) > 1:
                raise BuildError(
                    "A secret with nothing but space around it cannot be told from the secret alone.",
                    hint="Leave the space out, or put it into the secret.",
                )
            return hole(trees[0])
        return hole(text_tree(text))
    out: list[str] = []
    for part in parts:
        if isinstance(part, str):
            out.append(escape(part))
        else:
            if out and out[-1].endswith("$"):
                kept = out[-1].rstrip("$")
                out[-1] = kept + hole(Literal("$" * (len(out[-1]) - len(kept))))
            out.append(hole(part))
    return "".join(out)


def text_tree(text: str) -> Tree:
    """The text of an f-string as an expression that gives text."""
    parts = split(text)
    trees: list[Tree] = [Literal(part) if isinstance(part, str) else _as_text(part) for part in parts]
    if not trees:
        return Literal("")
    tree = trees[0]
    for other in trees[1:]:
        tree = Binary("+", tree, other)
    return tree


def _as_text(tree: Tree) -> Tree:
    if isinstance(tree, Literal) and isinstance(tree.value, str):
        return tree
    return tree if isinstance(tree, Call) and tree.function == "str" else Call("str", (tree,))


def _is_secret(tree: Tree) -> bool:
    return isinstance(tree, Chain) and tree.base == Root("secrets")


def no_marks(text: str, what: str) -> str:
    """The text, which must hold no expression. Raises BuildError."""
    if _MARK.search(text):
        shown = _MARK.sub(lambda found: hole(parse(found[1])), text)
        raise BuildError(
            f"{what} cannot hold an expression: {json.dumps(shown, ensure_ascii=False)[:200]}.",
            hint="Only values of params, of a trigger's input and of the output are computed.",
        )
    return text
