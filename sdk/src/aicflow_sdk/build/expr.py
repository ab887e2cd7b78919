"""References and expressions as Python objects. They compute nothing here: they are written into the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, NoReturn

from aicflow_language.expr import FUNCTIONS

from aicflow_sdk.build.source import CONDITIONAL, NAME, NOT, UNARY, Source, binary, literal, read
from aicflow_sdk.build.text import Code, mark, text_source
from aicflow_sdk.jsonable import NOTHING, not_json, simpler

METHODS: Final = frozenset(name for name, function in FUNCTIONS.items() if function.method)
"""The functions that may be written behind a value."""
RESERVED: Final = frozenset({"maybe", "coalesce", "if_else"})
"""Names that are not fields; write `value["maybe"]` for a field of this name."""


def _operators(sign: str) -> tuple[Callable[[Expr, Any], Expr], Callable[[Expr, Any], Expr]]:
    """The methods of an operator, with the expression left of it and right of it."""
    return (lambda self, other: _binary(sign, self, other)), (lambda self, other: _binary(sign, other, self))


def _refuses(message: str) -> Callable[..., NoReturn]:
    """A method that says what to write instead."""

    def refuse(*_: Any) -> NoReturn:
        raise TypeError(message)

    return refuse


class Expr:
    """An expression of a workflow: a reference such as `fetch.output.body["id"]`, or what operators make of some.

    `+ - * / // %`, comparisons, `&`, `|`, `~` for and, or, not; `a.coalesce(b)` for `a ?? b`; `a.maybe.b` for `a?.b`;
    `test.if_else(a, b)`; slices; `text.lower()` and the other methods; `fn.len(a)` for functions. In an f-string it
    becomes text. Python itself cannot ask for its value: that raises TypeError, which says what to write instead.
    """

    __slots__ = ("__field", "__source")

    def __init__(self, source: Source, field: str | None = None) -> None:
        """`field` is the name of the last step, where that is one: it may become a method."""
        object.__setattr__(self, "_Expr__source", source)
        object.__setattr__(self, "_Expr__field", field)

    # paths

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _field(self, name)

    def __getitem__(self, key: Any) -> Any:
        return _item(self, key)

    @property
    def maybe(self) -> Maybe:
        """What follows may be missing: `a.maybe.b` is null when `a` is missing or null, or has no `b`."""
        return Maybe(self)

    def __call__(self, *arguments: Any) -> Any:
        text = source_of(self).text
        if object.__getattribute__(self, "_Expr__field") in METHODS:
            return Expr(Source(f"{text}({_list(arguments)})"))
        raise TypeError(
            f"{text} is not a function. Functions are in fn: fn.len(value), fn.sorted(value); "
            f"methods are {', '.join(sorted(METHODS))}."
        )

    # operators

    __add__, __radd__ = _operators("+")
    __sub__, __rsub__ = _operators("-")
    __mul__, __rmul__ = _operators("*")
    __truediv__, __rtruediv__ = _operators("/")
    __floordiv__, __rfloordiv__ = _operators("//")
    __mod__, __rmod__ = _operators("%")
    __and__, __rand__ = _operators("and")
    __or__, __ror__ = _operators("or")
    __eq__ = _operators("==")[0]  # type: ignore[assignment]
    __ne__ = _operators("!=")[0]  # type: ignore[assignment]
    __lt__ = _operators("<")[0]
    __le__ = _operators("<=")[0]
    __gt__ = _operators(">")[0]
    __ge__ = _operators(">=")[0]

    def __neg__(self) -> Expr:
        return Expr(Source("-" + source_of(self).within(UNARY), UNARY))

    def __pos__(self) -> Expr:
        return Expr(Source("+" + source_of(self).within(UNARY), UNARY))

    def __abs__(self) -> Expr:
        return call("abs", self)

    def __round__(self, digits: Any = None) -> Expr:
        return call("round", self) if digits is None else call("round", self, digits)

    def __invert__(self) -> Expr:
        return Expr(Source("not " + source_of(self).within(NOT), NOT))

    def coalesce(self, *others: Any) -> Any:
        """`a ?? b`: the first that is neither missing nor null, else the last."""
        result = self
        for other in others:
            result = _binary("??", result, other)
        return result

    def if_else(self, then: Any, otherwise: Any) -> Any:
        """`then if this else otherwise`; this must be a boolean."""
        return when(self, then, otherwise)

    # text

    def __format__(self, spec: str) -> str:
        if spec:
            raise TypeError(
                f"the format {spec!r} cannot be applied while the workflow is built; "
                "compute the text: fn.str(fn.round(value, 2))"
            )
        return mark(source_of(self).text)

    def __str__(self) -> str:
        return mark(source_of(self).text)

    def __repr__(self) -> str:
        return f"<expression {source_of(self).text}>"

    # what Python cannot do with it

    __hash__ = _refuses("an expression cannot be a key or a member of a set: its value is known only when it runs")
    __bool__ = _refuses(
        "an expression has no truth value while the workflow is built; write `a & b`, `a | b`, `~a` for and, or, "
        "not (with parentheses around comparisons), `test.if_else(a, b)` for a choice, `(a < b) & (b < c)` for "
        "`a < b < c`, and logic.if_else for branches"
    )
    __iter__ = _refuses(
        "an expression cannot be looped over while the workflow is built; write "
        "`fn.each(items, lambda item: item.name)` for a list of values, or use a python.code node"
    )
    __contains__ = _refuses("`in` cannot be used on an expression; write `fn.contains(items, item)`")
    __len__ = _refuses("the length is known only when it runs; write `fn.len(value)`")
    __int__ = _refuses("the value is known only when it runs; write `fn.int(value)`")
    __float__ = _refuses("the value is known only when it runs; write `fn.float(value)`")
    __index__ = _refuses("the value is known only when it runs; it cannot be an index or a count here")
    __pow__ = _refuses("there is no power operator; write the product `a * a`, or use a python.code node")
    __setitem__ = _refuses("an expression cannot be changed; make a new object, or use a python.code node")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise TypeError(f"an expression cannot be changed; .{name} is what the workflow will find there")


class Maybe:
    """An expression whose next step may lead nowhere."""

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _field(self._expr, name, "?")

    def __getitem__(self, key: Any) -> Any:
        return _item(self._expr, key, "?")

    def __repr__(self) -> str:
        return f"<expression {source_of(self._expr).text}?>"


def when(test: Any, then: Any, otherwise: Any) -> Any:
    """`then if test else otherwise`; only the side that is chosen is computed."""
    chosen, condition = (source_of(value).within(CONDITIONAL + 1) for value in (then, test))
    return Expr(Source(f"{chosen} if {condition} else {source_of(otherwise).text}", CONDITIONAL))


def expr(text: str) -> Any:
    """An expression from its source, as it stands between `${{` and `}}`. Raises BuildError that shows the place."""
    return Expr(read(text))


def source_of(value: Any) -> Source:
    """The source of an expression or of a plain value. Raises TypeError for what JSON cannot say, BuildError for
    numbers that no expression has."""
    if isinstance(value, Expr):
        source: Source = object.__getattribute__(value, "_Expr__source")
        return source
    if isinstance(value, str) and not isinstance(value, Enum):
        return literal(str(value)) if isinstance(value, Code) else text_source(value)
    if value is None or isinstance(value, bool | int | float):
        return literal(value)
    if isinstance(value, list | tuple):
        return Source(f"[{_list(value)}]")
    if isinstance(value, Mapping):
        items = (f"{source_of(key).text}: {source_of(item).text}" for key, item in value.items())
        return Source("{" + ", ".join(items) + "}")
    try:
        found = simpler(value)
    except ValueError as error:
        raise TypeError(f"{value!r} {error}") from None
    if found is not NOTHING:
        return source_of(found)
    raise TypeError(not_json(value))


def call(function: str, *arguments: Any) -> Expr:
    """`function(arguments)`"""
    return Expr(Source(f"{function}({_list(arguments)})"))


def _list(values: Iterable[Any]) -> str:
    return ", ".join(source_of(value).text for value in values)


def _binary(operator: str, left: Any, right: Any) -> Expr:
    return Expr(binary(operator, source_of(left), source_of(right)))


def _field(base: Expr, name: str, sign: str = "") -> Expr:
    return Expr(Source(f"{source_of(base).within()}{sign}.{name}"), field=name)


def _item(base: Expr, key: Any, sign: str = "") -> Expr:
    if isinstance(key, slice):
        if key.step is not None:
            raise TypeError("slices have no step; write value[start:end]")
        inner = ":".join("" if end is None else source_of(end).text for end in (key.start, key.stop))
    elif isinstance(key, bool) or not isinstance(key, str | int | Expr):
        raise TypeError(f"a key is text, an integer or an expression, not {type(key).__name__}")
    else:
        inner = source_of(key).text
    return Expr(Source(f"{source_of(base).within()}{sign}[{inner}]"))


def root(name: str, *fields: str) -> Expr:
    """The expression `name.field.field`; fields that are no names stand in brackets."""
    steps = (f".{field}" if NAME.match(field) else f"[{literal(field).text}]" for field in fields)
    return Expr(Source(name + "".join(steps)))
