"""What is known of the data before there is any: the types of inputs, payloads, outputs and constants."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, Final

from pydantic import TypeAdapter

from aicflow.kernel.execution import FailureReport
from aicflow.kernel.node import Node, NodeType
from aicflow.kernel.trigger import Trigger, TriggerType
from aicflow.kernel.values import dumps
from aicflow.language.params import params_schema, with_input_schema
from aicflow.language.schema import SchemaView, check, conjunction
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.subject import Subject
from aicflow.language.validation.views import ANYTHING, NULL, constant, merged

EXECUTION: Final = SchemaView.of(
    {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "started_at": {"type": "string", "format": "date-time"},
            "attempt": {"type": "integer", "minimum": 1},
        },
        "required": ["id", "started_at", "attempt"],
        "additionalProperties": False,
    }
)
"""`execution` in expressions."""


def _error_schema() -> dict[str, Any]:
    """A failure report as events hold it: what is not known is left out, so nothing is null."""
    schema = TypeAdapter(FailureReport).json_schema(mode="serialization")
    for name, field in schema["properties"].items():
        schema["properties"][name] = {"type": field.get("type") or field["anyOf"][0]["type"]}
    schema["properties"]["attempt"]["minimum"] = 1
    schema["required"] = ["code", "message", "node_id", "attempt", "error_type"]
    return schema


ERROR: Final = SchemaView.of(_error_schema())
"""`nodes.ID.error`: the report of a failure."""

_MOST_KEPT: Final = 2_000_000
"""Characters of the schemas that are kept; they come from documents, too."""


class _Views:
    """Views of schemas, shared by all equal ones and by all threads. What was computed of a schema stays with it."""

    def __init__(self) -> None:
        self._known: dict[bytes, SchemaView | None] = {}
        self._size = 0

    def of(self, schema: Mapping[str, Any]) -> SchemaView | None:
        """The view of a schema; None when it cannot be used."""
        try:
            key = dumps(schema)
        except (ValueError, RecursionError, TypeError):
            return None
        if key in self._known:
            return self._known.get(key)
        own = dict(schema)
        view = None if check(own) else SchemaView.of(own)
        if self._size > _MOST_KEPT:
            self._known, self._size = {}, 0
        self._known[key] = view
        self._size += len(key)
        return view


_VIEWS: Final = _Views()


def view_of(schema: object) -> SchemaView | None:
    """The view of a JSON Schema; None when there is none, or it cannot be used."""
    if isinstance(schema, bool):
        return SchemaView.of(schema)
    return _VIEWS.of(schema) if isinstance(schema, Mapping) else None


@cache
def params_view(cls: NodeType | TriggerType) -> SchemaView | None:
    """The schema of a type's params."""
    return view_of(params_schema(cls))


@cache
def _output_view(cls: NodeType) -> SchemaView | None:
    return view_of(cls.output_schema())


@cache
def _payload_view(cls: TriggerType) -> SchemaView | None:
    return view_of(cls.payload_schema())


class Sources:
    """The types of what the expressions of one document, or of one body inside of it, can read."""

    def __init__(
        self,
        subject: Subject,
        effort: Effort,
        outer: Sources | None = None,
        names: Mapping[str, SchemaView] | None = None,
    ) -> None:
        self.subject = subject
        self.effort = effort
        self.outer = outer
        self.names = names or {}
        self._afforded: dict[int, SchemaView] = {}
        self._outputs: dict[int, SchemaView] = {}
        self._nullable: dict[int, SchemaView] = {}
        self._constants: dict[int, SchemaView] = {}

    @cached_property
    def input(self) -> SchemaView:
        """The execution's input."""
        if self.outer is not None:
            return self.outer.input
        schema = self.subject.input_schema
        if schema is None or "/input_schema" in self.subject.unusable_schemas:
            return ANYTHING
        if isinstance(schema, bool):
            return ANYTHING
        return SchemaView.of(dict(schema)) if self.effort.affords(schema) else ANYTHING

    @cached_property
    def trigger(self) -> SchemaView:
        """The payload of whichever trigger; null when the execution was started in another way."""
        if self.outer is not None:
            return self.outer.trigger
        payloads = [self.payload(index) for index in range(len(self.subject.triggers))]
        return merged([*payloads, NULL])

    def payload(self, index: int) -> SchemaView:
        """The payload of one trigger."""
        trigger, registered = self.subject.triggers[index], self.subject.trigger_types[index]
        if trigger is None or registered is None:
            return ANYTHING
        cls = registered.cls
        if _is_same(cls, Trigger, "payload_schema_for"):
            return _payload_view(cls) or ANYTHING
        given = with_input_schema(cls, trigger.params, self.subject.input_schema)
        try:
            return self._own(cls.payload_schema_for(given)) or ANYTHING
        except Exception:  # params of the wrong shape have their own issues
            return ANYTHING

    def output(self, index: int) -> SchemaView:
        """The output of a node that has not failed."""
        found = self._outputs.get(index)
        if found is None:
            found = self._outputs[index] = self._output(index)
        return found

    def _output(self, index: int) -> SchemaView:
        own, declared = self.own_output(index), self.declared_output(index)
        if declared is None:
            return own or ANYTHING
        return declared if own is None else conjunction([own, declared])

    def own_output(self, index: int) -> SchemaView | None:
        """What the node's type says of its output."""
        node, registered = self.subject.nodes[index], self.subject.types[index]
        if node is None or registered is None:
            return None
        cls = registered.cls
        if _is_same(cls, Node, "output_schema_for"):
            return _output_view(cls)
        try:
            return self._own(cls.output_schema_for(node.type_params))
        except Exception:  # params of the wrong shape have their own issues
            return None

    def declared_output(self, index: int) -> SchemaView | None:
        """What the document says of the node's output."""
        node = self.subject.nodes[index]
        if node is None or node.output_schema is None or isinstance(node.output_schema, bool):
            return None
        if self.subject.pointer("nodes", index, "output_schema") in self.subject.unusable_schemas:
            return None
        return self._own(node.output_schema)

    def _own(self, schema: Mapping[str, Any] | None) -> SchemaView | None:
        """The view of a schema that the document has a part in."""
        view = view_of(schema)
        if view is None or id(view) in self._afforded:
            return view
        if not self.effort.affords(view.schema):
            return None
        self._afforded[id(view)] = view
        return view

    def output_or_null(self, index: int) -> SchemaView:
        """The output of a node that may have failed."""
        found = self._nullable.get(index)
        if found is None:
            found = self._nullable[index] = merged([self.output(index), NULL])
        return found

    def constant(self, value: Any) -> SchemaView:
        """The type of a part of the document's `vars`, which live as long as this."""
        if not isinstance(value, list | dict):
            return constant(value)
        if self.outer is not None:
            return self.outer.constant(value)
        found = self._constants.get(id(value))
        if found is None:
            found = self._constants[id(value)] = constant(value)
        return found


def _is_same(cls: type, base: type, method: str) -> bool:
    """Whether a class method is inherited from the base unchanged."""
    return getattr(cls, method).__func__ is getattr(base, method).__func__
