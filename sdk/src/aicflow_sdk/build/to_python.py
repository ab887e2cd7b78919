"""From a document to the Python program that builds it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aicflow_sdk.build.from_document import NODE_OPTIONS
from aicflow_sdk.build.python_source import Names, plain_value, python_value, repr_text

__all__ = ["to_python"]

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_WIDTH: Final = 110
_TAKEN: Final = frozenset({"wf", "fn", "expr", "when", "Workflow", "Code"})
_PLAIN_NODE: Final = frozenset({*NODE_OPTIONS, "type", "id", "params", "self"})
_PLAIN_TRIGGER: Final = frozenset({"type", "id", "params", "input", "enabled", "version", "self"})


def to_python(document: Mapping[str, Any]) -> str:
    """The program. Running it makes a workflow `wf` with a document that means the same. `document` has the shape that
    `Workflow.from_dict` takes."""
    names = Names(_variables([node["id"] for node in document["nodes"]]))
    lines = [_call("wf = Workflow", [repr_text(document["name"]), *_workflow_arguments(document)]), ""]
    if document.get("settings"):
        lines += [f"wf.settings = {python_value(document['settings'], names)}", ""]
    lines += [_call("wf.add_trigger", _trigger_arguments(trigger, names)) for trigger in document.get("triggers", [])]
    lines += [""] if document.get("triggers") else []
    for node in document["nodes"]:
        variable = names.nodes[node["id"]]
        lines.append(_call(f"{variable} = wf.node", _node_arguments(node, names)))
        names.defined.add(node["id"])
    edges = [_edge(edge, names) for edge in document.get("edges", [])]
    lines += ["", *edges] if edges else []
    if document.get("output") is not None:
        lines += ["", f"wf.output = {python_value(document['output'], names)}"]
    body = "\n".join(lines).rstrip() + "\n"
    used = ["Workflow", *(word for word in ("Code", "expr", "fn", "when") if re.search(rf"\b{word}\b[(.]", body))]
    return f"from aicflow_sdk import {', '.join(sorted(used, key=lambda w: (w.islower(), w)))}\n\n{body}"


def _workflow_arguments(document: Mapping[str, Any]) -> list[str]:
    keys = [key for key in ("description", "labels", "input_schema", "vars") if document.get(key) is not None]
    return [f"{key}={plain_value(document[key])}" for key in keys]


def _trigger_arguments(trigger: Mapping[str, Any], names: Names) -> list[str]:
    out = [repr_text(trigger["type"]), repr_text(trigger["id"])]
    out += _params(trigger.get("params", {}), _PLAIN_TRIGGER, lambda key, value: python_value(value, names, 4))
    if trigger.get("input") is not None:
        out.append(f"input={python_value(trigger['input'], names, 4)}")
    if trigger.get("enabled") is False:
        out.append("enabled=False")
    if trigger.get("version") is not None:
        out.append(f"version={trigger['version']}")
    return out


def _node_arguments(node: Mapping[str, Any], names: Names) -> list[str]:
    def value(key: str, item: Any) -> str:
        if (node["type"], key) == ("python.code", "code") and isinstance(item, str):
            return _code(item)
        return python_value(item, names, 4)

    out = [repr_text(node["type"]), repr_text(node["id"])]
    out += _params(node.get("params", {}), _PLAIN_NODE, value)
    out += [f"{key}={plain_value(node[key])}" for key in NODE_OPTIONS if node.get(key) is not None]
    return out


def _params(params: Mapping[str, Any], taken: frozenset[str], write: Callable[[str, Any], str]) -> list[str]:
    """Params as keywords, those that cannot be in `params={…}`."""
    plain = {key: value for key, value in params.items() if _is_keyword(key) and key not in taken}
    rest = {key: value for key, value in params.items() if key not in plain}
    out = [f"{key}={write(key, value)}" for key, value in plain.items()]
    if rest:
        out.append(
            "params={" + ", ".join(f"{repr_text(key)}: {write(key, value)}" for key, value in rest.items()) + "}"
        )
    return out


def _is_keyword(text: str) -> bool:
    return bool(_WORD.match(text)) and not keyword.iskeyword(text)


def _edge(edge: Mapping[str, Any], names: Names) -> str:
    source, target = names.nodes[edge["from"]], names.nodes[edge["to"]]
    port = edge.get("port", "main")
    if port == "main":
        return f"{source} >> {target}"
    simple = _is_keyword(port) and port not in ("id", "type", "params", "output", "maybe", "port")
    return f"{source}.{port} >> {target}" if simple else f"{source}.port({repr_text(port)}) >> {target}"


def _variables(ids: Sequence[str]) -> dict[str, str]:
    """A variable for each node, named after its id as far as Python allows."""
    names: dict[str, str] = {}
    for node_id in ids:
        name = node_id
        while keyword.iskeyword(name) or name in _TAKEN or name.startswith("__") or name in names.values():
            name = f"{name.strip('_') or 'node'}_{len(names)}"
        names[node_id] = name
    return names


def _call(head: str, arguments: list[str]) -> str:
    line = f"{head}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    return f"{head}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _code(text: str) -> str:
    """Code over several lines, as a text over several lines where it can be read so."""
    odd = any(not character.isprintable() and character != "\n" for character in text)
    quotes = next((quote for quote in ('"""', "'''") if quote not in text and not text.endswith(quote[0])), None)
    if "\n" not in text or "\\" in text or odd or quotes is None:
        return repr_text(text)
    return f"{quotes}\\\n{text}{quotes}"
