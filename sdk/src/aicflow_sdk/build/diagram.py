"""From a document to a picture of it: a Mermaid flowchart, with the bodies of nodes as boxes around their nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from aicflow_sdk.build.bodies import kind_of

_BRANCHES: Final = frozenset({"logic.if_else", "logic.switch"})
_ESCAPES: Final = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "})


def to_mermaid(document: Mapping[str, Any]) -> str:
    """The flowchart. `document` has the shape that `Workflow.from_dict` takes."""
    return "\n".join(["flowchart TD", *_graph(document, (f"n{number}" for number in count()), "    ")]) + "\n"


def _graph(given: Mapping[str, Any], fresh: Iterator[str], indent: str) -> Iterator[str]:
    """The lines of nodes and the edges between them; ids are unique in the whole, as those of nodes need not be."""
    names: dict[str, str] = {}
    for node in given["nodes"]:
        name = names[node["id"]] = next(fresh)
        kind = kind_of(node)
        if kind is None:
            text = _text(node["id"], node["type"])
            yield indent + (f"{name}{{{text}}}" if node["type"] in _BRANCHES else f"{name}[{text}]")
            continue
        yield f"{indent}subgraph {name}[{_text(node['id'], _title(kind, node[kind]))}]"
        yield from _graph(node[kind], fresh, indent + "    ")
        yield f"{indent}end"
    for trigger in given.get("triggers", []):
        name = next(fresh)
        yield f"{indent}{name}([{_text(trigger['id'], trigger['type'])}])"
        led_to = {edge["to"] for edge in given.get("edges", [])}
        yield from (f"{indent}{name} -.-> {names[node_id]}" for node_id in names if node_id not in led_to)
    for edge in given.get("edges", []):
        port = edge.get("port", "main")
        arrow = "-->" if port == "main" else f"-->|{_text(port)}|"
        yield f"{indent}{names[edge['from']]} {arrow} {names[edge['to']]}"


def _title(kind: str, body: Mapping[str, Any]) -> str:
    if kind == "map":
        isolated = ", each in an execution of its own" if body.get("isolate") is True else ""
        return f"for each {body.get('as', 'item')} of {_source(body.get('over'))}{isolated}"
    return f"repeat while {_source(body.get('while'))}" if kind == "repeat" else kind


def _source(value: Any) -> str:
    """An expression without its braces; what is long is cut."""
    text = str(value)
    if text.startswith("${{") and text.endswith("}}"):
        text = text[3:-2].strip()
    return text if len(text) <= 60 else text[:59] + "…"


def _text(*lines: str) -> str:
    return '"' + "<br/>".join(line.translate(_ESCAPES) for line in lines) + '"'
