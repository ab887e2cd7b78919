"""V1–V4: validating a document of 22 nodes, a chain of 10,000, 2,000 decisions in a row, and documents made to be slow.

The baseline is `jsonschema` checking the same document against the published schema of documents, which tells of shapes
only: no references, no paths, no types of expressions.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from typing import Any

from aicflow.cli.plugins import quiet_plugins
from aicflow.kernel.registry import Registry
from aicflow.language.validation import document_schema, validate
from jsonschema import Draft202012Validator

from tests.benchmarks.lab import Row, percentile

type Document = dict[str, Any]


def _document(nodes: list[Document], edges: list[Document], **more: Any) -> Document:
    return {"aicflow": 1, "name": "benchmark", "nodes": nodes, "edges": edges, **more}


def _orders(branches: int = 5) -> Document:
    """22 nodes as people write them: calls, decisions, agents, code, and a join after each branch."""
    first = {"url": "https://a.example/${{ input.id }}", "headers": {"x-shop": "${{ vars.shop }}"}}
    nodes: list[Document] = [{"id": "fetch", "type": "http.request", "params": first}]
    edges: list[Document] = []
    last = "fetch"
    for k in range(branches):
        over = f"${{{{ nodes.{last}.output.body.total > vars.limit and input.id != {k} }}}}"
        joined = {"a": f"${{{{ nodes.agent{k}?.output.text ?? nodes.code{k}?.output }}}}", "b": "${{ input.note }}"}
        nodes += [
            {
                "id": f"if{k}",
                "type": "logic.if_else",
                "params": {"condition": over if k == 0 else "${{ input.id > 3 }}"},
            },
            {
                "id": f"agent{k}",
                "type": "ai.agent",
                "params": {"model": "openai:gpt-5-mini", "prompt": "Classify ${{ nodes.fetch.output.status }}"},
            },
            {
                "id": f"code{k}",
                "type": "python.code",
                "params": {"code": "return inputs", "inputs": {"body": "${{ nodes.fetch.output.body }}"}},
            },
            {"id": f"join{k}", "type": "workflow.call", "params": {"workflow": "x", "input": joined}},
        ]
        edges += [
            {"from": last, "to": f"if{k}"},
            {"from": f"if{k}", "port": "true", "to": f"agent{k}"},
            {"from": f"if{k}", "port": "false", "to": f"code{k}"},
            {"from": f"agent{k}", "to": f"join{k}"},
            {"from": f"code{k}", "to": f"join{k}"},
        ]
        last = f"join{k}"
    nodes.append({"id": "done", "type": "wait", "params": {"seconds": "${{ input.id }}"}})
    edges.append({"from": last, "to": "done"})
    shape = {
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 0, "maximum": 1000}, "note": {"type": "string"}},
        "required": ["id", "note"],
    }
    return _document(nodes, edges, input_schema=shape, vars={"limit": 100, "shop": "north"})


def _chain(count: int) -> Document:
    nodes: list[Document] = [{"id": "n0", "type": "workflow.call", "params": {"workflow": "x"}}]
    for k in range(1, count):
        params = {"workflow": "x", "input": f"${{{{ nodes.n{k - 1}.output.status }}}}"}
        nodes.append({"id": f"n{k}", "type": "workflow.call", "params": params})
    return _document(nodes, [{"from": f"n{k}", "to": f"n{k + 1}"} for k in range(count - 1)])


def _decisions(count: int) -> Document:
    nodes: list[Document] = []
    edges: list[Document] = []
    for k in range(count):
        condition: Any = f"${{{{ nodes.if{k - 1}.output.result }}}}" if k else True
        nodes.append({"id": f"if{k}", "type": "logic.if_else", "params": {"condition": condition}})
        for port in ("true", "false"):
            params = {"workflow": "x", "input": f"${{{{ nodes.if{k}.output.result }}}}"}
            nodes.append({"id": f"{port}{k}", "type": "workflow.call", "params": params})
            edges.append({"from": f"if{k}", "port": port, "to": f"{port}{k}"})
            if k < count - 1:
                edges.append({"from": f"{port}{k}", "to": f"if{k + 1}"})
    return _document(nodes, edges)


def _called(count: int, value: Callable[[int], Any], **more: Any) -> Document:
    nodes = [
        {"id": f"n{k}", "type": "workflow.call", "params": {"workflow": "x", "input": value(k)}} for k in range(count)
    ]
    return _document(nodes, [{"from": f"n{k}", "to": f"n{k + 1}"} for k in range(count - 1)], **more)


def _hostile() -> dict[str, Document]:
    field = {"type": "object", "properties": {"x": {"type": ["string", "null"]}}, "additionalProperties": False}
    wide = {"type": "object", "properties": {f"p{k}": field for k in range(20_000)}, "additionalProperties": False}
    ladder = [f"${{{{ nodes.n{k} }}}}" for k in range(450)]
    return {
        "450 nodes, 100,000 edges": _called(450, lambda k: ladder[k // 2] if k else 1)
        | {"edges": [{"from": f"n{a}", "to": f"n{b}"} for a in range(450) for b in range(a + 1, 450)][:100_000]},
        "50,000 references": _called(50, lambda k: " ".join(f"${{{{input.p{j}}}}}" for j in range(1_000))),
        "references to 1,000 nodes from each of 20": _called(
            1_020, lambda k: " ".join(f"${{{{nodes.n{j}.output}}}}" for j in range(1_000)) if k > 1_000 else 1
        ),
        "980 sums of 500 numbers": _called(980, lambda k: "${{" + f"{k}+" + "+".join(["1"] * 500) + "}}"),
        "an input of 20,000 fields, used whole": _called(
            2_000, lambda k: f"${{{{ [input, input.p{k}, {{'a': input}}] }}}}", input_schema=wide
        ),
        "lists in lists": _called(
            3_000, lambda k: "${{ " + "[" * 38 + f"input.p{k}" + "]" * 38 + " }}", input_schema=wide
        ),
        "values nested 50 deep": _called(3_000, lambda k: json.loads("[" * 50 + '"${{ input.a }}"' + "]" * 50)),
    }


def _timed(work: Callable[[], object], times: int) -> float:
    """The median of some tries, in seconds."""
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return percentile(took, 0.5)


def _pair(name: str, case: str, document: Document, registry: Registry, times: int, unit: str) -> list[Row]:
    checker = Draft202012Validator(document_schema(registry))
    scale = 1000 if unit == "ms" else 1
    ours = _timed(lambda: validate(document, registry), times)
    theirs = _timed(lambda: checker.is_valid(document), max(times // 4, 1))
    return [
        Row(name, f"{case}: jsonschema, shapes only", theirs * scale, unit),
        Row(name, f"{case}: validate", ours * scale, unit, "jsonschema", ours / theirs),
    ]


async def run() -> list[Row]:
    """The rows of V1 to V4."""
    registry = quiet_plugins().registry
    orders = _orders()
    assert not [issue for issue in validate(orders, registry) if issue.severity == "error"]
    rows = _pair("V1", f"{len(orders['nodes'])} nodes", orders, registry, 40, "ms")
    rows += _pair("V2", "chain of 10,000", _chain(10_000), registry, 3, "s")
    rows += _pair("V3", "2,000 if/else in a row", _decisions(2_000), registry, 3, "s")
    for name, document in _hostile().items():
        size = len(json.dumps(document)) / 1e6
        rows.append(Row("V4", f"{name} ({size:.1f} MB)", _timed(lambda d=document: validate(d, registry), 1), "s"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(Row("V4", "most memory of the process, documents included", peak, "MB"))
    return rows
