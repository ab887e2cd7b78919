"""Turns an author's text into code: the body of a function over `inputs` and `log`, lines as the author counts them."""

from __future__ import annotations
import __future__ as futures

import ast
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any, Final

from .guards import import_problem

__all__ = ["ENTRY", "FILENAME", "compile_body", "find_problems"]

FILENAME: Final = "<python.code>"
ENTRY: Final = "python_node"

SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def compile_body(source: str) -> CodeType:
    """Code that defines the function `python_node(inputs, log)`. Raises SyntaxError, ValueError (null bytes),
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
        posonlyargs=[], args=[ast.arg("inputs"), ast.arg("log")], kwonlyargs=[], kw_defaults=[], defaults=[]
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


def find_problems(source: str, allowed: Sequence[str] | None) -> list[dict[str, Any]]:
    """What can be seen without running: syntax errors, modules that may not be imported (`allowed` None: any may).

    Each problem is `{"message", "line", "column"}`; line and column start at 1 and may be None.
    """
    try:
        compile_body(source)
    except SyntaxError as error:
        return [{"message": error.msg, "line": error.lineno, "column": error.offset}]
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "the code is nested too deeply"
        return [{"message": reason, "line": None, "column": None}]
    problems: list[dict[str, Any]] = []
    if allowed is None:
        return problems
    for node in ast.walk(compile(source, FILENAME, "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module] if node.module != "__future__" else []
        for name in names:
            problem = import_problem(name, allowed)
            if problem:
                assert isinstance(node, ast.Import | ast.ImportFrom)
                problems.append({"message": problem, "line": node.lineno, "column": node.col_offset + 1})
    return problems
