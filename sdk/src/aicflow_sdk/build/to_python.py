"""From a document to the Python program that builds it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aicflow_sdk.build.bodies import kind_of
from aicflow_sdk.build.from_document import NODE_OPTIONS
from aicflow_sdk.build.python_source import Names, plain_value, python_value, repr_text

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_WIDTH: Final = 110
_TAKEN: Final = frozenset({"wf", "fn", "expr", "when", "Workflow", "Code"})
_PLAIN_NODE: Final = frozenset({*NODE_OPTIONS, "type", "id", "params", "self"})
_PLAIN_TRIGGER: Final = frozenset({"type", "id", "params", "input", "enabled", "version", "self"})


def to_python(document: Mapping[str, Any]) -> str:
    """The program. Running it makes a workflow `wf` with a document that means the same. `document` has the shape that
    `Workflow.from_dict` takes."""
    taken: set[str] = set(_TAKEN)
    names = Names(_variables([node["id"] for node in document["nodes"]], taken))
    lines = [_call("wf = Workflow", [repr_text(document["name"]), *_workflow_arguments(document)]), ""]
    if document.get("settings"):
        lines += [f"wf.settings = {python_value(document['settings'], names)}", ""]
    lines += [_call("wf.add_trigger", _trigger_arguments(trigger, names)) for trigger in document.get("triggers", [])]
    lines += [""] if document.get("triggers") else []
    lines += _graph(document, names, taken, 0)
    if document.get("output") is not None:
        lines += ["", f"wf.output = {python_value(document['output'], names)}"]
    body = "\n".join(lines).rstrip() + "\n"
    used = ["Workflow", *(word for word in ("Code", "expr", "fn", "when") if re.search(rf"\b{word}\b[(.]", body))]
    return f"from aicflow_sdk import {', '.join(sorted(used, key=lambda w: (w.islower(), w)))}\n\n{body}"


def _graph(given: Mapping[str, Any], names: Names, taken: set[str], indent: int) -> list[str]:
    """Nodes and edges, of the workflow or of a body inside of it."""
    lines: list[str] = []
    for node in given["nodes"]:
        variable, kind = names.nodes[node["id"]], kind_of(node)
        if kind is None:
            lines.append(_call(f"{variable} = wf.node", _node_arguments(node, names, indent), indent))
        else:
            lines += _body(node, kind, variable, names, taken, indent)
        names.defined.add(node["id"])
    edges = [" " * indent + _edge(edge, names) for edge in given.get("edges", [])]
    return [*lines, *(["", *edges] if edges else [])]


def _body(node: Mapping[str, Any], kind: str, variable: str, names: Names, taken: set[str], indent: int) -> list[str]:
    """A node with a body, and its block."""
    body, at = node[kind], indent + 4
    item = body.get("as", "item") if kind == "map" else "carry"
    local = "" if kind == "group" else _variable(item, taken)
    roots = {} if kind == "group" else {item: local, "index": f"{variable}.index"}
    inner = Names({**names.nodes}, set(names.defined), {**names.roots, **roots})
    arguments = [repr_text(node["id"])]
    for key, value in body.items():
        if key in ("nodes", "edges", "output"):
            continue
        if key in ("key", "while"):
            written = _rule(value, local, item, names, at)
        else:
            written = python_value(value, names, at) if key in ("over", "carry") else plain_value(value, at)
        arguments.append(f"{_WORDS.get(key, key)}={written}")
    arguments += [f"{key}={plain_value(node[key], at)}" for key in NODE_OPTIONS if node.get(key) is not None]
    lines = [_call(f"{variable} = wf.{kind}", arguments, indent)]
    lines.append(" " * indent + (f"with {variable} as {local}:" if local else f"with {variable}:"))
    own = _variables([one["id"] for one in body.get("nodes", [])], taken)
    inner.nodes = {**names.nodes, **own}
    inner.defined -= own.keys()
    lines += _graph({"nodes": [], **body}, inner, taken, at)
    if body.get("output") is not None:
        lines.append(" " * at + f"{variable}.returns({python_value(body['output'], inner, at)})")
    return [*lines, ""]


_WORDS: Final = {"as": "as_", "while": "while_"}


def _rule(value: Any, local: str, item: str, names: Names, indent: int) -> str:
    """A key or a condition: as a function of the item or carry where it is an expression of it."""
    written = python_value(value, Names(names.nodes, names.defined, {**names.roots, item: local}), indent)
    return f"lambda {local}: {written}" if re.search(rf"\b{local}\b", written) and "\n" not in written else written


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


def _node_arguments(node: Mapping[str, Any], names: Names, indent: int) -> list[str]:
    at = indent + 4

    def value(key: str, item: Any) -> str:
        if (node["type"], key) == ("python.code", "code") and isinstance(item, str):
            return _code(item)
        return python_value(item, names, at)

    out = [repr_text(node["type"]), repr_text(node["id"])]
    out += _params(node.get("params", {}), _PLAIN_NODE, value)
    out += [f"{key}={plain_value(node[key], at)}" for key in NODE_OPTIONS if node.get(key) is not None]
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


def _variables(ids: Sequence[str], taken: set[str]) -> dict[str, str]:
    """A variable for each node, named after its id as far as Python allows."""
    return {node_id: _variable(node_id, taken) for node_id in ids}


def _variable(name: str, taken: set[str]) -> str:
    """A variable of this name, or one like it that is not taken; it is from now on."""
    base, number = name, len(taken) - len(_TAKEN)
    while keyword.iskeyword(name) or name in taken or name.startswith("__"):
        name, number = f"{base.strip('_') or 'node'}_{number}", number + 1
    taken.add(name)
    return name


def _call(head: str, arguments: list[str], indent: int = 0) -> str:
    pad = " " * indent
    line = f"{pad}{head}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    return f"{pad}{head}(\n" + "".join(f"{pad}    {argument},\n" for argument in arguments) + f"{pad})"


def _code(text: str) -> str:
    """Code over several lines, as a text over several lines where it can be read so."""
    odd = any(not character.isprintable() and character != "\n" for character in text)
    quotes = next((quote for quote in ('"""', "'''") if quote not in text and not text.endswith(quote[0])), None)
    if "\n" not in text or "\\" in text or odd or quotes is None:
        return repr_text(text)
    return f"{quotes}\\\n{text}{quotes}"
