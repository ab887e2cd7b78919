"""Turns an author's text into code: the body of a function over `inputs`, `log` and `files`, lines as the author counts
them."""

from __future__ import annotations
import __future__ as futures

import ast
import difflib
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any, Final

from .guards import import_problem

FILENAME: Final = "<python.code>"
ENTRY: Final = "python_node"

SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def compile_body(source: str) -> CodeType:
    """Code that defines the function `python_node(inputs, log, files)`. Raises SyntaxError, ValueError (null bytes),
    RecursionError or MemoryError (nested beyond reason)."""
    tree, flags = parse_body(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(tree, FILENAME, "exec", flags=flags, dont_inherit=True)
    return code


def parse_body(source: str) -> tuple[ast.Module, int]:
    """The module that defines the function, and the compiler flags the text asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree: Any = compile(source, FILENAME, "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
    flags, body = take_futures(tree.body)
    inner = list(own_nodes(body))
    for node in inner:
        if isinstance(node, ast.Yield | ast.YieldFrom):
            raise located("'yield' has no reader here: collect the values in a list and return it", node)
    kind: Any = ast.AsyncFunctionDef if any(map(is_asynchronous, inner)) else ast.FunctionDef
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg("inputs"), ast.arg("log"), ast.arg("files")],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    function = kind(name=ENTRY, args=arguments, body=body or [ast.Pass()], decorator_list=[], returns=None)
    function.type_params = []
    function.lineno, function.col_offset = 1, 0
    module = ast.Module(body=[function], type_ignores=[])
    return ast.fix_missing_locations(module), flags


def take_futures(body: list[ast.stmt]) -> tuple[int, list[ast.stmt]]:
    """Leading `from __future__ import …` statements as compiler flags, and the rest."""
    flags, rest = 0, list(body)
    while rest and isinstance(rest[0], ast.ImportFrom) and rest[0].module == "__future__":
        statement = rest.pop(0)
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            feature = getattr(futures, alias.name, None)
            if alias.name not in futures.all_feature_names or feature is None:
                raise located(f"future feature {alias.name} is not defined", statement)
            flags |= feature.compiler_flag
    return flags, rest


def own_nodes(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Every node that belongs to the function itself, not to one defined inside it."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, SCOPES):
            outside: list[ast.AST] = []
            if not isinstance(node, ast.Lambda):
                outside += node.decorator_list
            if isinstance(node, ast.ClassDef):
                outside += [*node.bases, *(word.value for word in node.keywords)]
            else:
                outside += [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
            pending.extend(reversed(outside))
        else:
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def is_asynchronous(node: ast.AST) -> bool:
    """Whether this construct is allowed in `async def` only."""
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, ast.comprehension) and bool(node.is_async)
    )


def located(message: str, node: ast.AST) -> SyntaxError:
    """A syntax error at this node."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    return SyntaxError(message, (FILENAME, line, column, None))


def find_problems(
    source: str, allowed: Sequence[str] | None, inputs: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """What can be seen without running: syntax errors, modules that may not be imported, inputs that are not given.

    `allowed` None: any module may be imported; `inputs` None: what is given is not known. Each problem is
    `{"message", "line", "column", "warning"}`; line and column start at 1 and may be None.
    """
    try:
        compile_body(source)
    except SyntaxError as error:
        return [problem(error.msg, error.lineno, error.offset)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [problem(str(error) or "the code is nested too deeply", None, None)]
    tree = compile(source, FILENAME, "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
    nodes = list(ast.walk(tree))
    found: list[dict[str, Any]] = []
    if allowed is not None:
        found += import_problems(nodes, allowed)
    if inputs is not None:
        found += input_problems(nodes, inputs)
    return sorted(found, key=lambda one: (one["line"], one["column"]))


def import_problems(nodes: Sequence[ast.AST], allowed: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Imports that will be refused."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__") and not node.level:
            names = [str(node.module)]
        else:
            continue
        for name in names:
            reason = import_problem(name, allowed)
            if reason:
                yield problem(reason, node.lineno, node.col_offset + 1)


def input_problems(nodes: Sequence[ast.AST], inputs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """`inputs["name"]` where no such input is given; not when the code gives `inputs` another meaning."""
    for node in nodes:
        named = isinstance(node, ast.Name) and node.id == "inputs" and not isinstance(node.ctx, ast.Load)
        if named or (isinstance(node, ast.arg) and node.arg == "inputs"):
            return
    for node in nodes:
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and isinstance(node.value, ast.Name)
            and node.value.id == "inputs"
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
            and node.slice.value not in inputs
        ):
            name = node.slice.value
            near = difflib.get_close_matches(name, inputs, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            message = f"The node has no input {name!r}.{hint}"
            yield problem(message, node.lineno, node.col_offset + 1, warning=True)


def problem(message: str, line: int | None, column: int | None, *, warning: bool = False) -> dict[str, Any]:
    """One finding."""
    return {"message": message, "line": line, "column": column, "warning": warning}
