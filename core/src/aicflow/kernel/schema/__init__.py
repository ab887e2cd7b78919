"""JSON Schema for the kernel: values against schemas, schemas against schemas, and the way into a schema."""

from aicflow.kernel.schema.compat import compatible
from aicflow.kernel.schema.document import Document, SchemaView
from aicflow.kernel.schema.instance import SchemaValidator
from aicflow.kernel.schema.metacheck import check
from aicflow.kernel.schema.model import Schema, SchemaError, SchemaProblem, Violation
from aicflow.kernel.schema.verdict import Compatibility, ReasonKind, Verdict

__all__ = [
    "Compatibility",
    "Document",
    "ReasonKind",
    "Schema",
    "SchemaError",
    "SchemaProblem",
    "SchemaValidator",
    "SchemaView",
    "Verdict",
    "Violation",
    "check",
    "compatible",
]
