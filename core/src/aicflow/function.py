"""The short form of a node type: `@node("text.upper")` on a typed function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import new_class
from typing import Any, get_type_hints

from pydantic import create_model

from aicflow.kernel.context import Context
from aicflow.kernel.node import Node, NodeType, Params


def node(
    type_id: str, *, version: int = 1, pure: bool = False, title: str = ""
) -> Callable[[Callable[..., Any]], NodeType]:
    """Make a node type of a function: its parameters are the params, its return annotation is the output.

    A parameter annotated `Context` is given the context. `def` functions run in a thread, `async def` ones on the
    event loop. Raises TypeError at once for a parameter or a result without a usable annotation.
    """

    def wrap(function: Callable[..., Any]) -> NodeType:
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"@node({type_id!r}): an annotation names {error.name!r}, which the function's module does not define"
            ) from error
        fields: dict[str, Any] = {}
        context_name: str | None = None
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"@node({type_id!r}): parameter {name!r} must be an ordinary named parameter")
            if name not in hints:
                raise TypeError(f"@node({type_id!r}): parameter {name!r} needs a type annotation")
            if hints[name] is Context:
                context_name = name
                continue
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints[name], default)
        if "return" not in hints:
            raise TypeError(f"@node({type_id!r}): the function needs a return annotation; it is the output's type")
        title_case = "".join(part.capitalize() for part in type_id.replace(".", "_").split("_"))
        params_model = create_model(f"{title_case}Params", __base__=Params, __module__=function.__module__, **fields)

        def arguments(ctx: Context, params: Params) -> dict[str, Any]:
            given = {name: getattr(params, name) for name in fields}
            if context_name is not None:
                given[context_name] = ctx
            return given

        if inspect.iscoroutinefunction(function):

            async def run(self: Any, ctx: Context, params: Params) -> Any:
                return await function(**arguments(ctx, params))
        else:

            def run(self: Any, ctx: Context, params: Params) -> Any:  # type: ignore[misc]
                return function(**arguments(ctx, params))

        namespace = {
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "type_id": type_id,
            "version": version,
            "pure": pure,
            "title": title,
            "params_model": params_model,
            "output_type": hints["return"],
            "run": run,
            "function": staticmethod(function),
        }
        return new_class(title_case, (Node,), exec_body=lambda body: body.update(namespace))

    return wrap
