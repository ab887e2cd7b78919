"""From a Python function to the code of a python.code node: its body, with its parameters taken from `inputs`."""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import symtable
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from aicflow_sdk.build.text import Code
from aicflow_sdk.errors import BuildError

_GIVEN: Final = frozenset({*dir(builtins), "inputs", "log"})
type _Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """`inputs` are the defaults of the parameters, or what was given for them."""

    name: str
    code: Code
    inputs: dict[str, Any]
    description: str | None


def code_of(function: Callable[..., Any], given: dict[str, Any]) -> FunctionCode:
    """The function as a node's code. `given` are inputs by name; the other parameters need defaults.

    Raises BuildError for what cannot run by itself: names from outside, missing inputs, `*args`.
    """
    name = getattr(function, "__name__", "")
    if not inspect.isfunction(function) or name == "<lambda>":
        raise BuildError("Only a function made with `def` can become a node.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BuildError(f"{name} yields; a node returns one value.", hint="Return a list.")
    inputs = _inputs(function, given)
    text, definition = _source(function)
    foreign = sorted(_foreign_names(text) - _GIVEN)
    if foreign:
        raise BuildError(
            f"{name} uses {', '.join(foreign)} from outside, which will not be there when it runs.",
            hint="Import modules inside the function; hand data in as a parameter: def f(value=fetch.output.body).",
        )
    body = _body(text, definition)
    names = [parameter for parameter in inputs if parameter != "inputs"]
    if names:
        values = ", ".join(f'inputs["{parameter}"]' for parameter in names)
        body = f"{', '.join(names)} = {values}\n{body}"
    whole = inputs["inputs"] if list(inputs) == ["inputs"] else inputs
    return FunctionCode(name, Code(body), whole, inspect.getdoc(function))


def _inputs(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BuildError(f"{function.__name__} takes *{name}; a node's inputs have names.")
        if name in given:
            inputs[name] = given[name]
        elif parameter.default is not parameter.empty:
            inputs[name] = parameter.default
        else:
            raise BuildError(
                f"The parameter {name!r} of {function.__name__} has no value.",
                hint=f"Write def {function.__name__}({name}=node.output), or inputs={{{name!r}: node.output}}.",
            )
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        raise BuildError(f"{function.__name__} has no parameter {unknown[0]!r}.")
    if "inputs" in inputs and len(inputs) > 1:
        raise BuildError(
            f"{function.__name__} has a parameter 'inputs' beside others.",
            hint="A parameter of this name is the whole object of inputs, and then the only one.",
        )
    return inputs


def _source(function: Callable[..., Any]) -> tuple[str, _Definition]:
    """The source text, dedented, and its definition."""
    try:
        lines, _ = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise BuildError(
            f"The source of {function.__name__} cannot be found.",
            hint="Define it in a file, or give the code as text: wf.python('return 1').",
        ) from None
    text = _dedented("".join(lines), len(lines[0]) - len(lines[0].lstrip()))
    try:
        definition = ast.parse(text).body[0]
    except SyntaxError as error:
        raise BuildError(f"The source of {function.__name__} cannot be read alone: {error}.") from None
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    return text, definition


def _foreign_names(text: str) -> set[str]:
    """The names that the function reads from its module, also in functions inside it."""
    top = symtable.symtable(text, "function", "exec")
    functions = [table for table in top.get_children() if str(table.get_type()) == "function"]
    return {name for table in functions for name in _globals(table)}


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_global() and (symbol.is_referenced() or symbol.is_assigned()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _body(text: str, definition: _Definition) -> str:
    """The statements as text, without the docstring, as far left as they go."""
    statements = definition.body
    if ast.get_docstring(definition) is not None:
        statements = statements[1:]
    if not statements:
        return "return None"
    first, last = statements[0], statements[-1]
    lines = text.splitlines(keepends=True)
    assert last.end_lineno is not None
    chosen = lines[first.lineno - 1 : last.end_lineno]
    start = len(chosen[0].encode()[: first.col_offset].decode())
    if chosen[0][:start].strip():  # on the line of the `def`
        chosen[0] = " " * start + chosen[0][start:]
    return _dedented("".join(chosen), start).rstrip() + "\n"


def _dedented(text: str, indent: int) -> str:
    """The text moved left by `indent`; the insides of texts over several lines stay as they are."""
    if not indent:
        return text
    inside = _lines_in_texts(text)
    out = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        blank = len(line) - len(line.lstrip(" \t"))
        out.append(line if number in inside else line[min(indent, blank) :])
    return "".join(out)


def _lines_in_texts(text: str) -> set[int]:
    """The lines that begin inside a text."""
    inside: set[int] = set()
    opened: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
            elif token.type == tokenize.FSTRING_START:
                opened.append(token.start[0])
            elif token.type == tokenize.FSTRING_END:
                inside.update(range(opened.pop() + 1, token.end[0] + 1))
    except (tokenize.TokenError, IndentationError):
        pass  # what comes behind the end of an indented block is not ours
    return inside
