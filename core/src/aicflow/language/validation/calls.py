"""Types under functions and methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from aicflow_language.expr import Node, Span
from aicflow_language.expr.ast import Literal
from aicflow_language.expr.patterns import PATTERN_FUNCTIONS, pattern_problem

from aicflow.language.schema import Presence, SchemaView
from aicflow.language.validation.finding import Finding, a_kind, kinds_in_words
from aicflow.language.validation.operators import number_like
from aicflow.language.validation.rules import Typing
from aicflow.language.validation.views import (
    ALL,
    ANYTHING,
    BOOLEAN,
    COUNT,
    INTEGER,
    NULL,
    NUMBER,
    NUMERIC,
    STRING,
    STRINGS,
    access,
    fields_of,
    is_known,
    item_of,
    kinds_of,
    merged,
    sequence_of,
    typed,
)

type Given = Sequence[tuple[SchemaView, Span]]

_TEXT: Final = frozenset(("string",))
_LIST: Final = frozenset(("array",))
_OBJECT: Final = frozenset(("object",))
_BOOLEAN: Final = frozenset(("boolean",))
_OPTIONAL_TEXT: Final = _TEXT | {"null"}

_ARGUMENTS: Final[dict[str, tuple[frozenset[str], ...]]] = {
    "len": (_TEXT | _LIST | _OBJECT,),
    "str": (_TEXT | NUMERIC | _BOOLEAN,),
    "int": (_TEXT | NUMERIC,),
    "float": (_TEXT | NUMERIC,),
    "sum": (_LIST,),
    "any": (_LIST,),
    "all": (_LIST,),
    "abs": (NUMERIC,),
    "round": (NUMERIC, frozenset(("integer", "number", "null"))),
    "sorted": (_LIST, _BOOLEAN),
    "flatten": (_LIST,),
    "range": (frozenset(("integer",)), frozenset(("integer",))),
    "lower": (_TEXT,),
    "upper": (_TEXT,),
    "strip": (_TEXT, _OPTIONAL_TEXT),
    "split": (_TEXT, _OPTIONAL_TEXT),
    "replace": (_TEXT, _TEXT, _TEXT),
    "startswith": (_TEXT, _TEXT),
    "endswith": (_TEXT, _TEXT),
    "matches": (_TEXT, _TEXT),
    "find": (_TEXT, _TEXT, _TEXT | frozenset(("integer",))),
    "find_all": (_TEXT, _TEXT, _TEXT | frozenset(("integer",))),
    "replace_pattern": (_TEXT, _TEXT, _TEXT),
    "split_pattern": (_TEXT, _TEXT),
    "keys": (_OBJECT,),
    "values": (_OBJECT,),
    "get": (_OBJECT | _LIST,),
    "parse_json": (_TEXT,),
    "has": (_OBJECT, _TEXT),
    "parse_time": (_TEXT | NUMERIC, _OPTIONAL_TEXT, _TEXT),
    "format_time": (_TEXT, _TEXT, _OPTIONAL_TEXT),
    "add_time": (_TEXT, NUMERIC, _TEXT, _OPTIONAL_TEXT),
    "difference": (_TEXT, _TEXT, _TEXT),
    "zone": (_TEXT, _TEXT),
}
"""The types that each argument may have. Functions that are not here have their own rules."""

_RESULTS: Final[dict[str, SchemaView]] = {
    "len": COUNT,
    "str": STRING,
    "int": INTEGER,
    "float": NUMBER,
    "any": BOOLEAN,
    "all": BOOLEAN,
    "lower": STRING,
    "upper": STRING,
    "strip": STRING,
    "split": STRINGS,
    "replace": STRING,
    "startswith": BOOLEAN,
    "endswith": BOOLEAN,
    "matches": BOOLEAN,
    "find": typed(frozenset(("string", "null"))),
    "replace_pattern": STRING,
    "split_pattern": STRINGS,
    "keys": STRINGS,
    "json": STRING,
    "parse_json": ANYTHING,
    "has": BOOLEAN,
    "parse_time": STRING,
    "format_time": STRING,
    "add_time": STRING,
    "zone": STRING,
    "difference": NUMBER,
    "range": sequence_of(INTEGER),
}
_LOOKED_AT: Final = 50
"""Items of a list written out whose types are compared with each other."""
_ITEMS: Final = {
    "sum": ((NUMERIC,), "numbers"),
    "any": ((_BOOLEAN,), "booleans"),
    "all": ((_BOOLEAN,), "booleans"),
    "sorted": ((NUMERIC, _TEXT), "numbers or of texts"),
    "min": ((NUMERIC, _TEXT), "numbers or of texts"),
    "max": ((NUMERIC, _TEXT), "numbers or of texts"),
    "join": ((_TEXT,), "texts"),
    "flatten": ((_LIST,), "lists"),
}


def returned(typing: Typing, function: str, given: Given, arguments: Sequence[Node]) -> SchemaView:
    """The type that a function gives for these arguments; tells what it does not take. `arguments` are those written
    in the parentheses, the last ones of what is given."""
    wanted = _ARGUMENTS.get(function, ())
    for position, ((view, span), kinds) in enumerate(zip(given, wanted, strict=False)):
        typing.need(view, kinds, span, _takes(function, position, kinds), _hint(function, view))
    if function == "join":
        given = _joined(typing, given)
    if function in _ITEMS and given and not (function in ("min", "max") and len(given) > 1):
        if function in ("min", "max"):
            typing.need(given[0][0], _LIST, given[0][1], _takes(function, 0, _LIST))
        _check_items(typing, function, given[0])
        if len(_ITEMS[function][0]) > 1:
            _check_mixed(typing, function, given[0])
    if function in PATTERN_FUNCTIONS:
        _check_pattern(typing, function, given, arguments)
    own = _OWN.get(function)
    return own(typing, given, arguments) if own is not None else _RESULTS.get(function, ANYTHING)


def _check_pattern(typing: Typing, function: str, given: Given, arguments: Sequence[Node]) -> None:
    """A pattern that is written down must be one."""
    at = len(arguments) - len(given) + 1
    written = arguments[at] if len(given) > 1 and at >= 0 else None
    problem = (
        pattern_problem(written.value) if isinstance(written, Literal) and isinstance(written.value, str) else None
    )
    if written is not None and problem is not None:
        hint = "Look-around such as (?=…) and back-references such as \\1 are not supported."
        typing.tell(Finding("type.operand", f"'{function}' takes a regular expression: {problem}.", written.span, hint))


def _found_all(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    """The whole of a match is always there, a group of it may be null."""
    return STRINGS if len(given) < 3 else sequence_of(typed(frozenset(("string", "null"))))


def _takes(function: str, position: int, kinds: frozenset[str]) -> str:
    place = "" if position == 0 else f" as argument {position + 1}"
    return f"'{function}' takes {kinds_in_words(kinds - {'integer'} if kinds >= NUMERIC else kinds)}{place}"


def _hint(function: str, view: SchemaView) -> str | None:
    if function == "str" and kinds_of(view) & {"array", "object"}:
        return "For lists and objects, write json(value)."
    return None


def _check_items(typing: Typing, function: str, given: tuple[SchemaView, Span]) -> None:
    view, span = given
    if not is_known(view) or "array" not in kinds_of(view):
        return
    item = item_of(view)
    kinds = kinds_of(item)
    groups, words = _ITEMS[function]
    allowed = frozenset().union(*groups)
    if not is_known(item) or kinds <= allowed:
        return
    what = f"'{function}' takes a list of {words}"
    if kinds & allowed:
        typing.doubt(kinds - allowed, span, f"{what}: each item counts")
        return
    # an empty list does no harm
    certain = kinds_of(view) == _LIST and access(view, 0).presence is Presence.ALWAYS
    message = f"{what}, and its items are {kinds_in_words(kinds)}."
    if certain:
        typing.tell(Finding("type.operand", message, span))
    else:
        typing.tell(Finding("type.maybe-mismatch", message, span, None, "warning"))


def _check_mixed(typing: Typing, function: str, given: tuple[SchemaView, Span]) -> None:
    """Only numbers or only texts have an order among each other; of nothing there is no smallest."""
    view, span = given
    if not is_known(view) or kinds_of(view) != _LIST:
        return
    if function != "sorted" and access(view, 0).presence is Presence.NEVER:
        hint = f"Give it an item, or a default: {function}(list) if len(list) > 0 else 0."
        typing.tell(Finding("type.operand", f"'{function}' takes a list with items, and this is empty.", span, hint))
        return
    schema = view.schema
    ways = schema["anyOf"] if isinstance(schema, dict) and schema.keys() == {"anyOf"} else [schema]
    found = [_mixture(view.sub(way)) for way in ways]
    what = f"'{function}' takes a list of only numbers or only texts, and this"
    if all(mixture is Presence.ALWAYS for mixture in found):
        typing.tell(Finding("type.operand", f"{what} holds both.", span))
    elif any(mixture is not Presence.NEVER for mixture in found):
        typing.tell(Finding("type.maybe-mismatch", f"{what} may hold both.", span, None, "warning"))


def _mixture(view: SchemaView) -> Presence:
    """Whether numbers and texts stand in one list."""
    kinds = kinds_of(item_of(view))
    if kinds == ALL or not (kinds & NUMERIC and kinds & _TEXT) or access(view, 1).presence is Presence.NEVER:
        return Presence.NEVER
    sure: set[bool] = set()
    for index in range(_LOOKED_AT):
        item = access(view, index)
        if item.presence is not Presence.ALWAYS:
            break
        if kinds_of(item.view) <= NUMERIC or kinds_of(item.view) <= _TEXT:
            sure.add(kinds_of(item.view) <= _TEXT)
    return Presence.ALWAYS if len(sure) == 2 else Presence.MAYBE


def _joined(typing: Typing, given: Given) -> Given:
    """The list first, in whichever order list and separator are written; nothing where either may be the list."""
    if len(given) == 1:
        typing.need(given[0][0], _LIST, given[0][1], "'join' takes a list of texts")
        return given
    (one, one_span), (two, two_span) = given
    orders = [
        (first, second)
        for first, second in ((_LIST, _TEXT), (_TEXT, _LIST))
        if kinds_of(one) & first and kinds_of(two) & second
    ]
    if not orders:
        if kinds_of(one) and kinds_of(two):
            message = f"'join' takes a list of texts and a text between them, not {a_kind(one)} and {a_kind(two)}."
            typing.tell(Finding("type.operand", message, (min(one_span, two_span)[0], max(one_span, two_span)[1])))
        return ()
    for position, (view, span) in enumerate(given):
        odd = kinds_of(view) - frozenset().union(*(order[position] for order in orders))
        if odd and kinds_of(view) != ALL:
            typing.doubt(odd, span, "'join' takes a list of texts and a text between them")
    return () if len(orders) > 1 else given if orders[0][0] is _LIST else (given[1], given[0])


def _absolute(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    return number_like([given[0][0]])


def _rounded(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    if len(given) == 1 or kinds_of(given[1][0]) == {"null"}:
        return INTEGER
    return number_like([given[0][0]])


def _total(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    view = given[0][0]
    return number_like([item_of(view)]) if is_known(view) and "array" in kinds_of(view) else NUMBER


def _extreme(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    if len(given) == 1:
        view = given[0][0]
        return item_of(view) if is_known(view) and kinds_of(view) & _LIST else ANYTHING
    for view, span in given:
        typing.need(view, NUMERIC | _TEXT, span, "This takes numbers or texts")
    kinds = [kinds_of(view) for view, _ in given]
    if all(kind & (NUMERIC | _TEXT) for kind in kinds):
        fitting = [group for group in (NUMERIC, _TEXT) if all(kind & group for kind in kinds)]
        span, message = (given[0][1][0], given[-1][1][1]), "This takes either only numbers or only texts"
        if not fitting:
            typing.tell(Finding("type.operand", f"{message}.", span))
        elif any(kind != ALL and kind & NUMERIC and kind & _TEXT for kind in kinds):
            typing.tell(Finding("type.maybe-mismatch", f"{message}, and these may be both.", span, None, "warning"))
    return merged([view for view, _ in given])


def _sorted(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    view = given[0][0]
    return sequence_of(item_of(view)) if is_known(view) and kinds_of(view) & _LIST else sequence_of(ANYTHING)


def _flat(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    view = given[0][0]
    inner = item_of(view) if is_known(view) and kinds_of(view) & _LIST else ANYTHING
    return sequence_of(item_of(inner)) if is_known(inner) and kinds_of(inner) & _LIST else sequence_of(ANYTHING)


def _values(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    view = given[0][0]
    return sequence_of(fields_of(view)) if is_known(view) and kinds_of(view) & _OBJECT else sequence_of(ANYTHING)


def _got(typing: Typing, given: Given, arguments: Sequence[Node]) -> SchemaView:
    view, default = given[0][0], given[2][0] if len(given) > 2 else NULL
    kinds = kinds_of(view)
    if not is_known(view):
        return ANYTHING
    key_kinds = {"object": _TEXT, "array": frozenset(("integer",))}
    wanted = frozenset().union(*(key_kinds[kind] for kind in kinds if kind in key_kinds))
    if wanted:
        typing.need(given[1][0], wanted, given[1][1], "The key is a text for an object, an integer for a list")
    written = arguments[len(arguments) - len(given) + 1] if len(arguments) >= len(given) - 1 else None
    key = written.value if isinstance(written, Literal) else None
    if (isinstance(key, str) and kinds & _OBJECT) or (type(key) is int and kinds & _LIST):
        assert isinstance(key, str | int)
        found = access(view, key)
        if found.presence is Presence.NEVER:
            return default
        return found.view if found.presence is Presence.ALWAYS else merged([found.view, default])
    return ANYTHING


_OWN: Final[dict[str, Callable[[Typing, Given, Sequence[Node]], SchemaView]]] = {
    "abs": _absolute,
    "round": _rounded,
    "sum": _total,
    "min": _extreme,
    "max": _extreme,
    "sorted": _sorted,
    "find_all": _found_all,
    "flatten": _flat,
    "values": _values,
    "get": _got,
}
