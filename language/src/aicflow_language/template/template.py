"""A value of a document with `${{ … }}` in its strings, compiled once and resolved for each execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, final

from aicflow_language.expr import EvaluationError, Expression, ExpressionError, Secret, Span
from aicflow_language.expr.limits import MAX_FUEL, MAX_INTEGER, MAX_STEPS, Frame
from aicflow_language.json_values import pointer
from aicflow_language.records import record
from aicflow_language.template.errors import ResolutionError, TemplateProblem
from aicflow_language.template.marks import Kind
from aicflow_language.template.url import Piece, UrlError, assemble, check_whole

MAX_RESOLVED_TEXT: Final = 16 * 1024 * 1024
"""Characters that one resolution may put together from text and data."""


@record
class TemplateExpression:
    """One `${{ … }}` of a template. `path` leads to its string from the value of the template; `span` is where it
    stands in the string, braces included, and `offset` where the source of the expression starts. Just one of
    `expression` and `error` is there. `whole`: it is the whole string, so its value keeps its type."""

    path: tuple[str | int, ...]
    source: str
    span: Span
    offset: int
    whole: bool
    kind: Kind
    secret: bool
    expression: Expression | None
    error: ExpressionError | None

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer."""
        return pointer(*self.path)


class _Resolution(Frame):
    """One resolving of one template: the data, the way to secrets, and the work done so far, which the expressions of
    a template share: many small ones are no way around the limit of one."""

    fuel = 2 * MAX_FUEL
    text_left = MAX_RESOLVED_TEXT

    def __init__(self, scope: Mapping[str, object], reveal: Callable[[str], str] | None) -> None:
        self.scope = scope
        self.reveal = reveal


class Whole:
    """A string that is one expression, whose value keeps its type."""

    __slots__ = ("_header", "_part", "_url")

    def __init__(self, part: TemplateExpression) -> None:
        self._part = part
        self._url = part.kind == "url"
        self._header = part.kind == "header"

    def resolve(self, resolution: _Resolution) -> object:
        """The value of the expression. Raises ResolutionError."""
        value = _value(self._part, resolution)
        if self._header and _breaks_header(value):
            raise _header_error(self._part)
        if self._url and isinstance(value, str):
            try:
                check_whole(value)
            except UrlError as error:
                raise _failed(self._part, "template.url", error.message, error.hint) from None
        return value


class Text:
    """A string with expressions in it."""

    __slots__ = ("_header", "_holes", "_length", "_literals", "_url")

    def __init__(self, parts: Sequence[str | TemplateExpression], kind: Kind) -> None:
        self._literals = [part if isinstance(part, str) else "" for part in parts]
        self._holes = [(position, part) for position, part in enumerate(parts) if not isinstance(part, str)]
        self._length = sum(map(len, self._literals))
        self._url = kind == "url"
        self._header = kind == "header"

    def resolve(self, resolution: _Resolution) -> str:
        """The text. Raises ResolutionError."""
        pieces = self._literals.copy()
        left = resolution.text_left - self._length
        for position, part in self._holes:
            value = _value(part, resolution)
            piece = value if type(value) is str else _rendered(part, value)
            if self._header and _breaks_header(piece):
                raise _header_error(part)
            left -= len(piece)
            if left < 0:
                message = f"The params get longer than {MAX_RESOLVED_TEXT:,} characters together"
                raise _failed(part, "template.too-large", message, "Pass less data on.")
            pieces[position] = piece
        resolution.text_left = left
        return self._as_url(pieces) if self._url else "".join(pieces)

    def _as_url(self, pieces: list[str]) -> str:
        holes = dict(self._holes)
        try:
            return assemble([Piece(piece, position in holes) for position, piece in enumerate(pieces)])
        except UrlError as error:
            at = holes.get(error.position, self._holes[0][1])
            raise _failed(at, "template.url", error.message, error.hint) from None


def _rendered(part: TemplateExpression, value: object) -> str:
    text = _render(value)
    if text is not None:
        return text
    if value is None:
        hint = 'Give a default, such as value ?? "", or write json(value) for the word null.'
        raise _failed(part, "template.null", "The value is null, which has no text", hint)
    what = "a list" if isinstance(value, list) else "an object"
    hint = 'Write json(value) for JSON text, or join(list, ", ").'
    raise _failed(part, "template.object", f"The value is {what}, which has no text", hint)


def _value(part: TemplateExpression, resolution: _Resolution) -> object:
    """The value of one expression, a secret in its place revealed."""
    expression = part.expression
    assert expression is not None
    resolution.steps = MAX_STEPS
    try:
        value: object = expression.evaluate_in(resolution, resolution.scope)
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


type Part = Branch | Text | Whole


class Branch:
    """A list or object with something to resolve in it: what it is otherwise, and which parts change."""

    __slots__ = ("base", "changes")

    def __init__(self, base: Any, changes: tuple[tuple[Any, Part], ...]) -> None:
        self.base = base
        self.changes = changes

    def resolve(self, resolution: _Resolution) -> object:
        """A copy with the changing parts resolved; the others are shared."""
        made = self.base.copy()
        for key, part in self.changes:
            made[key] = part.resolve(resolution)
        return made


@final
class Template:
    """A compiled template. Immutable; may be resolved from any thread."""

    __slots__ = ("_constant", "_root", "expressions", "notices", "problems")

    def __init__(
        self,
        constant: object,
        root: Part | None,
        expressions: tuple[TemplateExpression, ...] = (),
        problems: tuple[TemplateProblem, ...] = (),
        notices: tuple[TemplateProblem, ...] = (),
    ) -> None:
        self._constant = constant
        self._root = root
        self.expressions = expressions
        """Every `${{ … }}`, in document order, those that do not compile included."""
        self.problems = problems
        """Everything that is wrong whatever the data, in document order."""
        self.notices = notices
        """What resolves and is hardly meant."""

    @property
    def is_static(self) -> bool:
        """Whether there are no expressions at all: then `resolve` always returns the same object."""
        return not self.expressions and not self.problems

    def prepare(self) -> None:
        """Compile now what the first resolving would compile."""
        for made in self.expressions:
            if made.expression is not None:
                made.expression.prepare()

    def resolve(self, scope: Mapping[str, object], reveal: Callable[[str], str] | None = None) -> Any:
        """The value with every expression replaced by its value against the scope; data is never evaluated again.

        Only lists and objects on the way to an expression are copied; everything else is shared with the document
        and the scope, so the value must not be changed. `reveal` returns the text of a secret by its name and is asked
        only in places that take secrets; what it raises is passed on. Raises ResolutionError, also when the template
        has problems.
        """
        if self.problems:
            problem = self.problems[0]
            raise ResolutionError(problem.code, problem.message, problem.span, problem.hint, problem.pointer)
        if self._root is None:
            return self._constant
        return self._root.resolve(_Resolution(scope, reveal))


def _render(value: object) -> str | None:
    """Numbers and booleans as JSON; None for null, lists and objects, which have no place in text."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -MAX_INTEGER < value < MAX_INTEGER else f"{value:x}"
    return repr(value) if isinstance(value, float) else None


def _breaks_header(value: object) -> bool:
    """Whether a line break or NUL stands anywhere in the value: either would end the header it is put in."""
    return any("\r" in text or "\n" in text or "\0" in text for text in _texts(value))


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
