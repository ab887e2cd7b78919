"""JSON Schema for the kernel: values against schemas, schemas against schemas, and the way into a schema."""

from aicflow.language.schema.build import (
    ANYTHING,
    NOTHING,
    Bundle,
    conjunction,
    items_of,
    list_of,
    literal,
    object_of,
    union,
)
from aicflow.language.schema.document import Document, RefError, SchemaView
from aicflow.language.schema.instance import SchemaValidator
from aicflow.language.schema.metacheck import check
from aicflow.language.schema.model import Schema, SchemaError, SchemaProblem, Violation
from aicflow.language.schema.navigate import (
    Access,
    Presence,
    describe,
    element,
    field_values,
    is_nullable,
    kinds,
    step,
    without_null,
)
from aicflow.language.schema.subsumption import Compatibility, ReasonKind, Verdict, compatible

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
