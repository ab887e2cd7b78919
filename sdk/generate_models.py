"""Writes the fields of the SDK's records from the OpenAPI document: models.py, execution.py and errors.py.

    make models        after a change of the API; a test compares

Docstrings, methods and the fields in OWN are written by hand and stay; every other field is what the document says.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent
FILES: Final = tuple(ROOT / f"src/aicflow_sdk/{name}.py" for name in ("models", "execution", "errors"))
OPENAPI: Final = ROOT.parent / "docs/openapi/openapi.json"

SCHEMA_OF: Final = {
    "CreatedApiKey": "ApiKeyCreated", "Event": "StreamEvent", "ProblemDetail": "ProblemEntry", "Readiness": "Ready",
    "Validation": "ValidationResult",
}  # fmt: skip
"""Records that the API calls otherwise."""
OWN: Final = {
    "Execution": {"output_included"},  # whether `output` came along
    "Issue": {"line", "column"},  # of the command line, for files
    "ProblemDetail": {"where"},  # `in`, of query and path parameters
    "Workflow": {"etag", "outcome"},  # a header; what `deploy` did
}
OTHERWISE: Final = {("Issue", "related"): "tuple[Related, ...] = ()"}
EMPTY_WITHOUT: Final = {("Workflow", "issues")}
"""Lists that the API leaves out where they are empty."""
LISTS_LEAVE_OUT: Final = {("Workflow", "document"), ("WorkflowVersion", "document"), ("Delivery", "payload")}

CLASS_OF: Final = {schema: record for record, schema in SCHEMA_OF.items()}
WORDS: Final = {"string": "str", "integer": "int", "boolean": "bool", "number": "float"}


def main() -> None:
    """Rewrite the files."""
    schemas = json.loads(OPENAPI.read_text("utf-8"))["components"]["schemas"]
    for file in FILES:
        file.write_text(generated(file.read_text("utf-8"), schemas), "utf-8")


def generated(source: str, schemas: Mapping[str, Any]) -> str:
    """The module with the fields that the schemas say."""
    lines = source.splitlines()
    known = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.TypeAlias) and "enum" in schemas.get(node.name.id, {}):
            lines[node.lineno - 1 : node.end_lineno] = [f"type {node.name.id} = {literal(schemas[node.name.id])}"]
        elif isinstance(node, ast.ClassDef) and "properties" in schemas.get(SCHEMA_OF.get(node.name, node.name), {}):
            fields = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
            inherited = {name for base in node.bases if isinstance(base, ast.Name) for name in names_of(known, base.id)}
            kept = [
                line
                for field in fields
                if isinstance(field.target, ast.Name) and field.target.id in OWN.get(node.name, ())
                for line in lines[field.lineno - 1 : field.end_lineno]
            ]
            made = [f"    {line}" for line in fields_of(node.name, schemas, inherited)]
            lines[fields[0].lineno - 1 : fields[-1].end_lineno] = made + kept
    return "\n".join(lines) + "\n"


def names_of(known: Mapping[str, ast.ClassDef], name: str) -> Iterator[str]:
    """The fields of a class of the module."""
    for statement in known[name].body if name in known else ():
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def fields_of(record: str, schemas: Mapping[str, Any], inherited: set[str]) -> Iterator[str]:
    """The fields of a record as source: those that are always there first."""
    schema = schemas[SCHEMA_OF.get(record, record)]
    required = [name for name in schema.get("required", ()) if (record, name) not in LISTS_LEAVE_OUT]
    for name in (*required, *sorted(schema["properties"].keys() - set(required))):
        if name in inherited:
            continue
        if (record, name) in OTHERWISE:
            yield f"{name}: {OTHERWISE[record, name]}"
            continue
        hint, nullable = hint_of(schema["properties"][name], schemas)
        if not nullable and name in required:
            yield f"{name}: {hint}"
        elif (record, name) in EMPTY_WITHOUT:
            yield f"{name}: {hint} = ()"
        else:
            yield f"{name}: {hint}{'' if hint == 'Any' else ' | None'} = None"


def hint_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> tuple[str, bool]:
    """The type hint of a schema, and whether the value may be null."""
    if "anyOf" in schema:
        (inner,) = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        return hint_of(inner, schemas)[0], len(schema["anyOf"]) == 2
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return CLASS_OF.get(name, name), False
    if "enum" in schema:
        return literal(schema), False
    match schema.get("type"):
        case "array":
            return f"tuple[{hint_of(schema['items'], schemas)[0]}, ...]", False
        case "object":
            values = schema.get("additionalProperties")
            return "Json" if values in (True, None) else f"Mapping[str, {hint_of(values, schemas)[0]}]", False
        case str(name):
            return "datetime" if schema.get("format") == "date-time" else WORDS[name], False
    return "Any", True


def literal(schema: Mapping[str, Any]) -> str:
    """The values of an enumeration."""
    return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"


if __name__ == "__main__":
    main()
