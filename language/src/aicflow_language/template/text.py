"""One string of a template: its expressions, and turning it into a value when there is data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aicflow_language.expr import EvaluationError, Expression, ExpressionError, Secret, Span
from aicflow_language.expr.frame import Frame
from aicflow_language.expr.limits import MAX_FUEL, MAX_STEPS
from aicflow_language.template.errors import ResolutionError
from aicflow_language.template.marks import Kind
from aicflow_language.template.render import breaks_header, render
from aicflow_language.template.url import Piece, UrlError, assemble, check_whole

__all__ = ["MAX_RESOLVED_TEXT", "Resolution", "TemplateExpression", "Text"]

MAX_RESOLVED_TEXT: Final = 16 * 1024 * 1024
"""Characters that one resolution may put together from text and data."""


@dataclass(frozen=True, slots=True)
class TemplateExpression:
    """One `${{ … }}` of a template. `pointer` and `path` lead to its string from the value of the template; `span`
    is where it stands in the string, braces included, and `offset` where the source of the expression starts. Just
    one of `expression` and `error` is there. `whole`: it is the whole string, so its value keeps its type."""

    pointer: str
    path: tuple[str | int, ...]
    source: str
    span: Span
    offset: int
    whole: bool
    kind: Kind
    secret: bool
    expression: Expression | None
    error: ExpressionError | None


class Resolution:
    """One resolving of one template: the data, the way to secrets, and the work done so far."""

    __slots__ = ("frame", "reveal", "scope", "text_left")

    def __init__(self, scope: Mapping[str, object], reveal: Callable[[str], str] | None) -> None:
        self.scope = scope
        self.reveal = reveal
        self.text_left = MAX_RESOLVED_TEXT
        self.frame = Frame()
        # the expressions of a template share their work: many small ones are no way around the limit of one
        self.frame.fuel = 2 * MAX_FUEL


class Text:
    """A string with expressions in it."""

    __slots__ = ("_header", "_parts", "_url", "_whole")

    def __init__(
        self, parts: tuple[str | TemplateExpression, ...], kind: Kind, whole: TemplateExpression | None
    ) -> None:
        self._parts = parts
        self._whole = whole
        self._url = kind == "url"
        self._header = kind == "header"

    def resolve(self, resolution: Resolution) -> object:
        """The value of the string. Raises ResolutionError."""
        if self._whole is None:
            return self._together(resolution)
        value = _value(self._whole, resolution)
        if self._header and breaks_header(value):
            raise _header_error(self._whole)
        if self._url and isinstance(value, str):
            try:
                check_whole(value)
            except UrlError as error:
                raise _failed(self._whole, "template.url", error.message, error.hint) from None
        return value

    def _together(self, resolution: Resolution) -> str:
        pieces: list[str] = []
        for part in self._parts:
            piece = part if isinstance(part, str) else _rendered(part, resolution)
            resolution.text_left -= len(piece)
            if resolution.text_left < 0:
                where = next(place for place in self._parts if not isinstance(place, str))
                message = f"The params get longer than {MAX_RESOLVED_TEXT:,} characters together"
                raise _failed(where, "template.too-large", message, "Pass less data on.")
            if self._header and not isinstance(part, str) and breaks_header(piece):
                raise _header_error(part)
            pieces.append(piece)
        return self._as_url(pieces) if self._url else "".join(pieces)

    def _as_url(self, pieces: list[str]) -> str:
        marked = [Piece(piece, not isinstance(part, str)) for piece, part in zip(pieces, self._parts, strict=True)]
        try:
            return assemble(marked)
        except UrlError as error:
            at = self._parts[error.position]
            if isinstance(at, str):
                at = next(part for part in self._parts if not isinstance(part, str))
            raise _failed(at, "template.url", error.message, error.hint) from None


def _rendered(part: TemplateExpression, resolution: Resolution) -> str:
    value = _value(part, resolution)
    text = render(value)
    if text is not None:
        return text
    if value is None:
        hint = 'Give a default, such as value ?? "", or write json(value) for the word null.'
        raise _failed(part, "template.null", "The value is null, which has no text", hint)
    what = "a list" if isinstance(value, list) else "an object"
    hint = 'Write json(value) for JSON text, or join(list, ", ").'
    raise _failed(part, "template.object", f"The value is {what}, which has no text", hint)


def _value(part: TemplateExpression, resolution: Resolution) -> object:
    """The value of one expression, a secret in its place revealed."""
    assert part.expression is not None
    frame = resolution.frame
    frame.steps = MAX_STEPS
    try:
        value: object = part.expression.evaluate_in(frame, resolution.scope)
    except EvaluationError as error:
        raise _passed_on(part, error) from None
    if type(value) is not Secret:
        return value
    if part.secret and resolution.reveal is not None:
        return resolution.reveal(value.name)
    hint = "Secrets are revealed only when a step runs." if part.secret else "This param takes no secrets."
    raise _failed(part, "secret.not-allowed", f"The secret '{value.name}' cannot be used here", hint)


def _passed_on(part: TemplateExpression, error: EvaluationError) -> ResolutionError:
    start, end = error.span
    span = (start + part.offset, end + part.offset)
    return ResolutionError(error.code, error.message, span, lambda: error.hint, part.pointer)


def _header_error(part: TemplateExpression) -> ResolutionError:
    hint = 'Remove it first, such as replace(value, "\\n", " ").'
    return _failed(part, "template.header", "The value holds a line break, which would end the header", hint)


def _failed(part: TemplateExpression, code: str, message: str, hint: str) -> ResolutionError:
    return ResolutionError(code, message, part.span, hint, part.pointer)
