"""Commands that show what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from aicflow.cli.say import Output, print_json, print_table
from aicflow.kernel.errors import AICFlowError


def nodes_command(
    type_id: Annotated[str | None, Parameter(help="A node type to show, such as http.request")] = None,
    /,
    *,
    output: Output = "text",
) -> None:
    """List the installed node types, or show one with its params."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.views import node_type_view

    registry = quiet_plugins().registry
    if type_id is not None:
        view = node_type_view(registry.node(type_id), registry)
        if output == "json":
            print_json(view)
        else:
            show_node(view)
        return
    views = [node_type_view(node, registry) for node in registry.nodes()]
    if output == "json":
        print_json(views)
        return
    rows = [(view["type_id"], view["summary"], view["provider"]["distribution"] or "") for view in views]
    print_table(("type", "what it does", "from"), rows)


def show_node(view: dict[str, Any]) -> None:
    """A node type for people: what it does, its ports, params and output."""
    provider = view["provider"]
    print(f"{view['type_id']} (version {view['version']})")
    print(view["summary"])
    if view["documentation"]:
        print(f"\n{view['documentation']}")
    print(f"\nFrom: {provider['distribution'] or provider['plugin']} {provider['version'] or ''}".rstrip())
    print(f"Ports: {', '.join(view['ports'])}, and error")
    if view["errors"]:
        print(f"Errors: {', '.join(view['errors'])}")
    schema = view["params_schema"]
    required = set(schema.get("required", ()))
    rows = [
        (
            name,
            _kind(part),
            "required" if name in required else _default(part),
            " ".join(str(part.get("description", "")).split()),
        )
        for name, part in schema.get("properties", {}).items()
    ]
    if rows:
        print("\nParams:")
        print_table(("name", "type", "default", "what it is"), rows)
    if view["output_schema"] is not None:
        print("\nOutput:")
        fields = view["output_schema"].get("properties")
        if fields:
            print_table(("name", "type"), [(name, _kind(part)) for name, part in fields.items()])
        else:
            print(_kind(view["output_schema"]))


def _kind(schema: Any) -> str:
    """A schema in a word or two."""
    if not isinstance(schema, dict):
        return "anything"
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_kind(part) for part in schema[word]))
    kind = schema.get("type", "anything")
    if kind == "array" and "items" in schema:
        return f"list of {_kind(schema['items'])}"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _default(schema: Any) -> str:
    return repr(schema["default"]) if isinstance(schema, dict) and schema.get("default") is not None else ""


def openapi_command(file: Path | None = None, /) -> None:
    """Print the OpenAPI document of this version's API, or write it into a file.

    Parameters
    ----------
    file
        Where to write it; standard output when not given.
    """
    from aicflow.host.app import create_app
    from aicflow.host.openapi import text
    from aicflow.host.settings import Settings

    shown = text(create_app(Settings()))
    if file is None:
        print(shown, end="")
        return
    try:
        file.write_text(shown, encoding="utf-8")
    except OSError as error:
        raise AICFlowError(f"{file} cannot be written: {error.strerror}.") from None


def version_command() -> None:
    """Print the version."""
    from aicflow import __version__

    print(__version__)
