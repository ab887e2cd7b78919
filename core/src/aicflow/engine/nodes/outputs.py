"""A step's output: checked against its declared type, made JSON, and put into its event."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from aicflow.engine.masking import Mask
from aicflow.engine.options import EngineOptions
from aicflow.kernel.errors import OutputInvalid, OutputTooLarge
from aicflow.kernel.node import NodeType, output_adapter
from aicflow.kernel.values import dumps, pointer
from aicflow.language.plan import PlannedNode

_PREVIEW = 1_000


def as_json(cls: NodeType, value: Any) -> Any:
    """The output as JSON values. Raises OutputInvalid when it is not what the node type declares."""
    adapter = output_adapter(cls.output_type)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise OutputInvalid(
            f"{cls.type_id} returned something that is not its declared output: "
            f"{pointer(*first['loc']) or 'the value'}: {first['msg']}",
            hint="This is a fault of the node type, not of the workflow.",
        ) from None
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        place = _not_json(value)
        why = f"{pointer(*place[:-1]) or 'the value'} is a {place[-1]}" if place is not None else str(error)
        raise OutputInvalid(
            f"{cls.type_id} returned something that JSON cannot hold: {why}",
            hint="This is a fault of the node type, not of the workflow: return JSON values or pydantic models.",
        ) from None


def _not_json(value: Any) -> tuple[str, ...] | None:
    """The way to the first part that is no JSON value, and its type's name at the end."""
    if isinstance(value, BaseModel):
        value = dict(value)
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    try:
        if parts is not None:
            return next(((str(key), *found) for key, part in parts if (found := _not_json(part)) is not None), None)
        to_jsonable_python(value)
    except PydanticSerializationError:
        return (type(value).__qualname__,)
    except (ValueError, RecursionError):
        return None
    return None


def within(encoded: bytes, most: int, what: str) -> bytes:
    """What was given. Raises OutputTooLarge."""
    if len(encoded) <= most:
        return encoded
    raise OutputTooLarge(
        f"{what} has {len(encoded):,} bytes as JSON; at most {most:,} are kept.",
        hint="Return less (a map may have `collect: none`), keep it elsewhere and return where it is, or have the "
        "operator raise AICFLOW_MAX_OUTPUT_BYTES.",
    )


def checked_output(node: PlannedNode, value: Any, most: int) -> tuple[Any, bytes]:
    """The output as JSON values and as bytes, `most` of them at most. Raises OutputInvalid, also when it breaks the
    node's `output_schema`, and OutputTooLarge."""
    output = as_json(node.cls, value)
    if node.output_validator is not None:
        violations = node.output_validator.validate(output, limit=5)
        if violations:
            raise OutputInvalid(
                "The output does not fit the node's output_schema: "
                + "; ".join(f"output{v.pointer}: {v.message}" for v in violations)
            )
    try:
        encoded = dumps(output)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise OutputInvalid(f"{node.cls.type_id} returned something that JSON cannot hold: {error}") from None
    return output, within(encoded, most, "The output")


def as_event(port: str, encoded: bytes, mask: Mask, options: EngineOptions) -> tuple[bytes, bytes | None, bytes | None]:
    """What a success is in its event: the event's data; the encoded output as it is shown, when it is too large to
    stand in the event; and the real data, when that is masked already."""
    head = b'{"port":"' + port.encode() + b'",'
    whole = head + b'"output":' + encoded + b"}"
    if len(encoded) <= options.inline_output:
        return whole, None, None
    shown = mask.json(encoded)
    preview = shown[:_PREVIEW].decode("utf-8", "ignore")
    rest = dumps({"output_stored": True, "output_size": len(shown), "output_preview": preview})
    return head + rest[1:], shown, None if shown is encoded else whole
