"""Is a node or trigger type defined as it must be? Said with the place in the author's code, and with the cure."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from aicflow.kernel.ids import is_identifier, is_type_id
from aicflow.kernel.node import Node, Params
from aicflow.kernel.trigger import Trigger

NODE_OPTIONS: Final = frozenset(
    ("id", "type", "name", "description", "version", "params", "output_schema", "retry", "timeout", "step_timeout")
) | {"on_error", "on_recovery", "run"}
"""What stands beside `params` in a node's entry."""


def place_of(cls: type) -> str:
    """`file:line: ` of a type's code; empty when it has none."""
    function = getattr(cls, "function", None) or getattr(cls, "run", None) or getattr(cls, "activate", None)
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}: " if code is not None else ""


def definition_problem(cls: Any) -> str | None:
    """What is wrong with the definition of a node or trigger type, in a sentence, or None."""
    if not isinstance(cls, type) or not issubclass(cls, Node | Trigger):
        return f"{cls!r} is not a Node or Trigger subclass; is `@node(…)` missing?"
    problem = next(_node_problems(cls) if issubclass(cls, Node) else _trigger_problems(cls), None)
    return None if problem is None else place_of(cls) + problem


def _node_problems(cls: type[Node[Any, Any]]) -> Iterator[str]:
    name = cls.__qualname__
    yield from _identity_problems(cls)
    params = getattr(cls, "params_model", None)
    if not (isinstance(params, type) and issubclass(params, Params)):
        yield f"{name} must name its params, a subclass of Params: class {name}(Node[MyParams, MyOutput])"
        return
    if not hasattr(cls, "output_type"):
        yield f"{name} must name its output: class {name}(Node[MyParams, MyOutput])"
        return
    if inspect.isabstract(cls):
        yield f"{name} does not define {', '.join(sorted(cls.__abstractmethods__))}"
        return
    if not cls.ports or any(not is_identifier(port) or port == "error" for port in cls.ports):
        yield f"{name}.ports must be one or more identifiers, without 'error', which every node has"
    signature = inspect.signature(cls.run)
    try:
        signature.bind(None, None, None)
    except TypeError:
        yield f"{name}.run must take (self, ctx, params), not {signature}"
    yield from (
        f"{name}: the default of params field {field!r} does not fit its type: {why}"
        for field, why in _defaults(params)
    )
    try:
        cls.output_schema()
    except Exception as error:
        yield f"{name}: its output type {cls.output_type!r} cannot be described as JSON: {error}"


def _trigger_problems(cls: type[Trigger[Any, Any]]) -> Iterator[str]:
    yield from _identity_problems(cls)
    if not hasattr(cls, "params_model") or not hasattr(cls, "payload_type"):
        yield f"{cls.__qualname__} must name its params and payload: class X(Trigger[MyParams, MyPayload])"


def _identity_problems(cls: Any) -> Iterator[str]:
    name, type_id = cls.__qualname__, getattr(cls, "type_id", None)
    if not isinstance(type_id, str) or not is_type_id(type_id):
        yield f"{name}.type_id must be lower-case words joined by dots, such as 'geo.geocode', not {type_id!r}"
    if not isinstance(cls.version, int) or cls.version < 1:
        yield f"{name}.version must be a whole number from 1"


def _defaults(params: type[Params]) -> Iterator[tuple[str, str]]:
    """The fields whose default their own type refuses, each with the reason."""
    try:
        params.model_validate({})
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False):
            field = str(found["loc"][0]) if found["loc"] else ""
            known = params.model_fields.get(field)
            if known is not None and not known.is_required():
                yield field, f"{found['input']!r}: {found['msg']}"
    except Exception:
        return  # a validator of the author's that does not expect an empty object


def advice(cls: type) -> Iterator[str]:
    """What would be better about a type that can be used."""
    place, name = place_of(cls), cls.__qualname__
    bases = cls.__mro__[: next(n for n, base in enumerate(cls.__mro__) if base in (Node, Trigger))]
    if not any(base.__doc__ for base in bases):
        yield f"{place}{name} has no docstring; its first line is the summary in catalogues and for agents"
    if issubclass(cls, Node):
        for field in sorted(NODE_OPTIONS & cls.params_model.model_fields.keys()):
            yield (
                f"{place}{name}: the params field {field!r} has the name of a node option; in Python it can only be "
                f"given as params={{{field!r}: …}}"
            )
