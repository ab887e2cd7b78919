"""Compiling a value of a document: finding its expressions, and what is wrong with them whatever the data."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from aicflow_language.expr import ExpressionError, Reference, compile_expression
from aicflow_language.expr.chains import missing_root
from aicflow_language.expr.references import ROOTS
from aicflow_language.json_values import pointer
from aicflow_language.template.errors import TemplateProblem
from aicflow_language.template.marks import PLAIN, Mark, Types, mark_at
from aicflow_language.template.scanner import MAX_HOLES, OPENING, Hole, scan
from aicflow_language.template.template import Branch, Part, Template, TemplateExpression, Text

__all__ = ["MAX_EXPRESSIONS", "compile_template"]

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
    roots. The value is not copied and must not be changed afterwards.
    """
    if not _holds_opening(value):
        return Template(value, None)
    compiler = _Compiler(schema, value, types, names)
    texts = list(compiler.texts(value))
    parts = {path: compiler.text(path, text) for path, text in texts}
    constants = {path: part for path, text in texts if isinstance(part := parts[path], str) and part != text}
    constant = _with_constants(value, (), constants, _inner_paths(constants)) if constants else value
    changing = {path: part for path, part in parts.items() if isinstance(part, Text)}
    root = _plan(constant, (), changing, _inner_paths(changing)) if changing else None
    return Template(constant, root, tuple(compiler.expressions), tuple(compiler.problems), tuple(compiler.notices))


_MOST_NOTICES: Final = 20


class _Compiler:
    def __init__(self, schema: object, value: object, types: Types | None, names: Collection[str]) -> None:
        self._schema = schema
        self._value = value
        self._types = types
        self._names = names
        self.expressions: list[TemplateExpression] = []
        self.problems: list[TemplateProblem] = []
        self.notices: list[TemplateProblem] = []
        self.full = False
        """There were more expressions than may be; the rest is not looked at."""

    def texts(self, value: object) -> Iterator[tuple[Path, str]]:
        """Every string that holds an expression, in document order."""
        waiting: list[tuple[Path, object]] = [((), value)]
        while waiting:
            path, item = waiting.pop()
            if isinstance(item, str):
                yield path, item
                continue
            inside: list[tuple[Path, object]] = []
            if isinstance(item, dict):
                for key, child in item.items():
                    if OPENING in key and self._mark((*path, key)).kind != "code":
                        self._bad_key((*path, key))
                    if _interesting(child):
                        inside.append(((*path, key), child))
            elif isinstance(item, list):
                inside = [((*path, index), child) for index, child in enumerate(item) if _interesting(child)]
            if inside and len(path) >= _MAX_DEPTH:
                message = f"The value is nested deeper than {_MAX_DEPTH} levels"
                self._problem("template.too-deep", message, None, path, (0, 0))
                continue
            waiting.extend(reversed(inside))

    def text(self, path: Path, text: str) -> Text | str:
        """The string as a text to resolve, or as a constant when it holds no expression."""
        if self.full:
            return text
        mark = self._mark(path)
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
        alone = next(part for part in parts if isinstance(part, TemplateExpression)) if whole else None
        return Text(tuple(parts), mark.kind, alone)

    def _expression(self, path: Path, hole: Hole, whole: bool, mark: Mark) -> TemplateExpression:
        expression, error = None, None
        try:
            expression = compile_expression(hole.source)
        except ExpressionError as caught:
            error = caught
        made = TemplateExpression(
            pointer=pointer(*path),
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
                self._report(place, _unknown(place.source, reference))
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

    def _mark(self, path: Path) -> Mark:
        return PLAIN if self._schema is None else mark_at(self._schema, path, self._value, self._types)

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


def _interesting(value: object) -> bool:
    """Whether an expression may stand in the value."""
    return OPENING in value if isinstance(value, str) else isinstance(value, dict | list) and bool(value)


def _unknown(source: str, reference: Reference) -> ExpressionError:
    start = reference.span[0]
    error = missing_root(reference.root, (start, start + len(reference.root)))
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


def _inner_paths(paths: dict[Path, Any]) -> dict[Path, list[str | int]]:
    """For each container on the way to one of the paths, the keys to go on with, in order."""
    inner: dict[Path, list[str | int]] = {}
    for path in paths:
        for depth in range(len(path) - 1, -1, -1):
            keys = inner.setdefault(path[:depth], [])
            if path[depth] in keys[-1:]:
                break
            keys.append(path[depth])
    return inner


def _with_constants(value: Any, path: Path, constants: dict[Path, str], inner: dict[Path, list[str | int]]) -> Any:
    """The value with some strings replaced; only what holds them is copied."""
    if path in constants:
        return constants[path]
    if path not in inner:
        return value
    made = value.copy()
    for key in inner[path]:
        made[key] = _with_constants(value[key], (*path, key), constants, inner)
    return made


def _plan(value: Any, path: Path, texts: dict[Path, Text], inner: dict[Path, list[str | int]]) -> Part:
    if path in texts:
        return texts[path]
    changes = tuple((key, _plan(value[key], (*path, key), texts, inner)) for key in inner[path])
    return Branch(value, changes)
