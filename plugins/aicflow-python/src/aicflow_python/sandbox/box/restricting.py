"""RestrictedPython as compiler and namespace: for platforms without seccomp. Not a boundary; see the documentation."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any, Final

from .compiling import ENTRY, FILENAME

MODULES: Final = (
    "base64", "bisect", "calendar", "cmath", "collections", "datetime", "decimal", "fractions", "functools", "hashlib",
    "heapq", "hmac", "html", "itertools", "json", "math", "numbers", "random", "re", "secrets", "statistics",
    "textwrap", "time", "unicodedata", "urllib.parse", "uuid",
)  # fmt: skip
"""Modules whose public names lead nowhere; what they import themselves is never shown."""

OPERATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+=": lambda a, b: a + b,
    "-=": lambda a, b: a - b,
    "*=": lambda a, b: a * b,
    "/=": lambda a, b: a / b,
    "//=": lambda a, b: a // b,
    "%=": lambda a, b: a % b,
    "**=": lambda a, b: a**b,
    "|=": lambda a, b: a | b,
    "&=": lambda a, b: a & b,
    "^=": lambda a, b: a ^ b,
    "<<=": lambda a, b: a << b,
    ">>=": lambda a, b: a >> b,
    "@=": lambda a, b: a @ b,
}


def compile_restricted_body(source: str) -> CodeType:
    """Code that defines the function, under RestrictedPython's policy. Raises SyntaxError."""
    from RestrictedPython.compile import compile_restricted_function

    result: Any = compile_restricted_function("inputs, log, files", source, ENTRY, filename=FILENAME)
    if result.errors or result.code is None:
        first = str(result.errors[0]) if result.errors else "the code does not compile"
        line, _, message = first.partition(": ")
        number = line.removeprefix("Line ")
        raise SyntaxError(message or first, (FILENAME, int(number) if number.isdecimal() else None, None, None))
    code: CodeType = result.code
    return code


class View(ModuleType):
    """Shows a module's public names, modules among them left out."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            value = getattr(module, name, None)
            if not isinstance(value, ModuleType):
                setattr(self, name, value)


class Printer:
    """What RestrictedPython makes of `print`."""

    def __init__(self, _getattr_: Any = None) -> None:
        """One for each function that prints."""

    def _call_print(self, *objects: Any, **options: Any) -> None:
        options.pop("file", None)
        print(*objects, **options)  # noqa: T201 - it is the author's


def restricted_namespace(_: tuple[str, ...] | None) -> dict[str, Any]:
    """Built-in names for one call; the guards that compiled code calls stand among them."""
    from RestrictedPython import Guards, Utilities
    from RestrictedPython.Eval import default_guarded_getitem, default_guarded_getiter

    names: dict[str, Any] = dict(Guards.safe_builtins)
    names |= {name: Utilities.utility_builtins[name] for name in ("set", "frozenset")}
    names |= {
        function.__name__: function
        for function in (
            all,
            any,
            dict,
            enumerate,
            filter,
            iter,
            list,
            map,
            max,
            min,
            next,
            range,
            reversed,
            sum,
            tuple,
        )
    }
    names |= {
        "__import__": import_view,
        "__metaclass__": type,
        "_getattr_": attribute,
        "_getitem_": default_guarded_getitem,
        "_getiter_": default_guarded_getiter,
        "_inplacevar_": lambda operation, a, b: OPERATIONS[operation](a, b),
        "_iter_unpack_sequence_": Guards.guarded_iter_unpack_sequence,
        "_print_": Printer,
        "_unpack_sequence_": Guards.guarded_unpack_sequence,
        "_write_": Guards.full_write_guard,
    }
    return names


def attribute(thing: Any, name: str) -> Any:
    """An attribute that RestrictedPython's guard allows. The guard itself returns None where there is none."""
    from RestrictedPython import Guards

    guards: Any = Guards
    missing = object()
    value = guards.safer_getattr(thing, name, missing)
    if value is missing:
        raise AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}")
    return value


def import_view(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """An allowed module, seen through `View`."""
    if level or name not in MODULES:
        raise ImportError(f"The module {name!r} is not allowed in the restricted sandbox.", name=name)
    view = View(importlib.import_module(name))
    if fromlist or "." not in name:
        return view
    root = ModuleType(name.partition(".")[0])
    setattr(root, name.partition(".")[2], view)
    return root


def preload_restricted(paths: list[str]) -> None:
    """Import RestrictedPython and everything that may be asked for, from the given folders."""
    before = list(sys.path)
    sys.path[:0] = paths
    try:
        for name in ("RestrictedPython", "RestrictedPython.Eval", *MODULES):
            importlib.import_module(name)
    finally:
        sys.path[:] = before
