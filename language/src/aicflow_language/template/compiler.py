"""Compiling a value of a document: finding its expressions, and what is wrong with them whatever the data."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from aicflow_language.expr import ExpressionError, Reference, compile_expression
from aicflow_language.expr.chains import missing_root
from aicflow_language.expr.references import ROOTS
from aicflow_language.json_values import pointer
from aicflow_language.template.errors import TemplateProblem
from aicflow_language.template.marks import PLAIN, Mark, Place, Types, place_of
from aicflow_language.template.scanner import MAX_HOLES, OPENING, Hole, scan
from aicflow_language.template.template import Branch, Part, Template, TemplateExpression, Text, Whole

MAX_EXPRESSIONS: Final = 10_000
"""Expressions in one template."""

_MAX_DEPTH: Final = 128
"""Lists and objects inside one another; documents are limited to fewer."""

type Path = tuple[str | int, ...]


def compile_template(
    value: Any, schema: object = None, types: Types | None = None, names: Collection[str] = ()
) -> Template:
    """The template of a JSON value: `params`, `output`, a trigger's `input`. Never raises for what the value holds.

    `schema` is the JSON Schema of the value; its `x-aicflow` keywords say which strings are code, URLs or headers, and
    which take secrets; `types` knows the schemas of node types whose params it holds. `names` may be used besides the
    roots. The value is not copied; neither it nor the schemas may be changed afterwards.
    """
    if not _holds_opening(value):
        return Template(value, None)
    compiler = _Compiler(types, names)
    constant, root = compiler.compile(value, (), None if schema is None else place_of(schema))
    return Template(constant, root, tuple(compiler.expressions), tuple(compiler.problems), tuple(compiler.notices))


_MOST_NOTICES: Final = 20


class _Compiler:
    def __init__(self, types: Types | None, names: Collection[str]) -> None:
        self._types = types
        self._names = names
        self.expressions: list[TemplateExpression] = []
        self.problems: list[TemplateProblem] = []
        self.notices: list[TemplateProblem] = []
        self.full = False
        """There were more expressions than may be; the rest is not looked at."""

    def compile(self, value: Any, path: Path, place: Place | None) -> tuple[Any, Part | None]:
        """The value as far as it is constant, copied where it differs from what is written, and what is to be
        resolved in it. `place` is where it stands in its schema."""
        if isinstance(value, str):
            text = self.text(path, value, PLAIN if place is None else place.mark)
            return (text, None) if isinstance(text, str) else (value, text)
        if isinstance(value, dict):
            self._check_keys(value, path, place)
            inside: Iterable[tuple[Any, Any]] = value.items()
        else:
            inside = enumerate(value)
        constant = value
        changes: list[tuple[str | int, Part]] = []
        for key, child in inside:
            if not (OPENING in child if isinstance(child, str) else isinstance(child, dict | list) and child):
                continue
            if len(path) >= _MAX_DEPTH:
                message = f"The value is nested deeper than {_MAX_DEPTH} levels"
                self._problem("template.too-deep", message, None, path, (0, 0))
                break
            at = None if place is None else place.entered(key, value, self._types)
            made, part = self.compile(child, (*path, key), at)
            if part is not None:
                changes.append((key, part))
            if made is not child:
                if constant is value:
                    constant = value.copy()
                constant[key] = made
        return constant, Branch(constant, tuple(changes)) if changes else None

    def text(self, path: Path, text: str, mark: Mark) -> Text | Whole | str:
        """The string as a text to resolve, or as a constant when it holds no expression."""
        if self.full:
            return text
        found = scan(text)
        if mark.kind == "code":
            for part in found.parts:
                if isinstance(part, Hole):
                    self._hole_in_code(path, part)
            return text
        holes = [part for part in found.parts if isinstance(part, Hole)]
        whole = len(holes) == 1 and all(part.isspace() for part in found.parts if isinstance(part, str))
        parts: list[str | TemplateExpression] = []
        for part in found.parts:
            if isinstance(part, str):
                parts.append(part)
            elif len(self.expressions) < MAX_EXPRESSIONS:
                parts.append(self._expression(path, part, whole, mark))
            else:
                self._too_many(path, part.span[0], MAX_EXPRESSIONS)
                self.full = True
                break
        if found.unclosed is not None:
            span = (found.unclosed, found.unclosed + len(OPENING))
            hint = "Close it with }}. For a literal '${{' write '$${{'."
            self._problem("template.unclosed", "'${{' is never closed", hint, path, span)
        elif found.too_many is not None:
            self._too_many(path, found.too_many, MAX_HOLES)
        if not any(isinstance(part, TemplateExpression) for part in parts):
            return "".join(part for part in parts if isinstance(part, str))
        return Whole(self.expressions[-1]) if whole else Text(parts, mark.kind)

    def _expression(self, path: Path, hole: Hole, whole: bool, mark: Mark) -> TemplateExpression:
        expression, error = None, None
        try:
            expression = compile_expression(hole.source)
        except ExpressionError as caught:
            error = caught
        made = TemplateExpression(
            path=path,
            source=hole.source,
            span=hole.span,
            offset=hole.offset,
            whole=whole,
            kind=mark.kind,
            secret=mark.secret,
            expression=expression,
            error=error,
        )
        self.expressions.append(made)
        if error is not None:
            self._report(made, error)
        elif expression is not None:
            for reference in expression.references:
                self._reference(made, reference)
        return made

    def _reference(self, place: TemplateExpression, reference: Reference) -> None:
        if reference.root not in ROOTS:
            if reference.root not in self._names:
                self._report(place, _unknown(place.source, reference, tuple(self._names)))
        elif reference.root == "secrets":
            problem = _wrong_secret(place, reference)
            if problem is not None:
                message, hint = problem
                self._report(place, ExpressionError("secret.not-allowed", message, reference.span, hint))

    def _hole_in_code(self, path: Path, hole: Hole) -> None:
        """Code is left as it is; but whoever writes a secret into it means something that will not happen."""
        try:
            references = compile_expression(hole.source).references
        except ExpressionError:
            return
        if any(reference.root == "secrets" for reference in references):
            self._problem(
                "secret.in-code",
                "Code cannot hold secrets, and is never interpolated",
                "Let a node that takes secrets do the call, and give its output to the code.",
                path,
                hole.span,
            )
        elif len(self.notices) < _MOST_NOTICES and any(reference.root in ROOTS for reference in references):
            message = "Code is never interpolated: ${{ … }} stays text here"
            hint = "Give the value to the code by another param, such as inputs."
            self.notices.append(TemplateProblem("template.in-code", message, hint, pointer(*path), hole.span))

    def _check_keys(self, value: dict[str, Any], path: Path, place: Place | None) -> None:
        for key in value:
            if OPENING in key and (place is None or place.entered(key, value, self._types).mark.kind != "code"):
                self._bad_key((*path, key))

    def _bad_key(self, path: Path) -> None:
        hint = "Write the whole object as one expression: ${{ {input.name: 1} }}."
        self._problem("template.key", "Keys are not interpolated", hint, path, (0, len(str(path[-1]))))

    def _too_many(self, path: Path, start: int, most: int) -> None:
        message = f"There are more than {most:,} expressions"
        self._problem("template.too-many", message, "Use a code node.", path, (start, start + len(OPENING)))

    def _report(self, place: TemplateExpression, error: ExpressionError) -> None:
        start, end = error.span
        span = (place.offset + start, place.offset + end)
        self.problems.append(TemplateProblem(error.code, error.message, error.hint, place.pointer, span))

    def _problem(self, code: str, message: str, hint: str | None, path: Path, span: tuple[int, int]) -> None:
        self.problems.append(TemplateProblem(code, message, hint, pointer(*path), span))


def _holds_opening(value: object) -> bool:
    """Whether `${{` stands anywhere in the value. Most values of a document hold none, so this comes first and fast."""
    waiting = [value]
    for item in waiting:  # grows while it is read
        if isinstance(item, str):
            if OPENING in item:
                return True
        elif isinstance(item, dict):
            for key, child in item.items():
                if OPENING in key:
                    return True
                if isinstance(child, str):
                    if OPENING in child:
                        return True
                elif isinstance(child, dict | list):
                    waiting.append(child)
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def _unknown(source: str, reference: Reference, names: tuple[str, ...]) -> ExpressionError:
    start = reference.span[0]
    error = missing_root(reference.root, (start, start + len(reference.root)), names)
    if start > 1 and source[start - 1] == "-" and (source[start - 2].isalnum() or source[start - 2] == "_"):
        hint = "Write a name with '-' in brackets: nodes[\"my-node\"].output."
        return ExpressionError(error.code, error.message, error.span, hint)
    return error


def _wrong_secret(place: TemplateExpression, reference: Reference) -> tuple[str, str] | None:
    named = len(reference.path) == 1 and isinstance(reference.path[0], str)
    if not named and len(reference.path) < 2:
        return "A secret must be named", "Write secrets.NAME."
    if not (named and reference.complete and reference.is_value):
        return (
            "A secret can only be the whole value of an expression",
            "Write ${{ secrets.NAME }} by itself, or inside the text of a param that takes secrets.",
        )
    if not place.secret:
        return "This param takes no secrets", "Use a param that takes secrets, such as an authentication param."
    return None
