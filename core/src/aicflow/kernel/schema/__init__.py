"""JSON Schema for the kernel: values against schemas, schemas against schemas, and the way into a schema."""

from aicflow.kernel.schema.build import (
    ANYTHING,
    NOTHING,
    conjunction,
    items_of,
    list_of,
    literal,
    object_of,
    union,
)
from aicflow.kernel.schema.bundle import Bundle
from aicflow.kernel.schema.compat import compatible
from aicflow.kernel.schema.document import Document, RefError, SchemaView
from aicflow.kernel.schema.instance import SchemaValidator
from aicflow.kernel.schema.metacheck import check
from aicflow.kernel.schema.model import Schema, SchemaError, SchemaProblem, Violation
from aicflow.kernel.schema.navigate import (
    Access,
    Presence,
    element,
    field_values,
    is_nullable,
    kinds,
    step,
    without_null,
)
from aicflow.kernel.schema.summary import describe
from aicflow.kernel.schema.verdict import Compatibility, ReasonKind, Verdict

__all__ = [
    "ANYTHING",
    "NOTHING",
    "Access",
    "Bundle",
    "Compatibility",
    "Document",
    "Presence",
    "ReasonKind",
    "RefError",
    "Schema",
    "SchemaError",
    "SchemaProblem",
    "SchemaValidator",
    "SchemaView",
    "Verdict",
    "Violation",
    "check",
    "compatible",
    "conjunction",
    "describe",
    "element",
    "field_values",
    "is_nullable",
    "items_of",
    "kinds",
    "list_of",
    "literal",
    "object_of",
    "step",
    "union",
    "without_null",
]
