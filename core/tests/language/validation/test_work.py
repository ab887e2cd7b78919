"""However a document is made, what validation does grows no faster than the document, and findings are bounded."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest
from aicflow.host.documents import read_document
from aicflow.language.validation import validate


def wide(seed: int, size: int) -> dict[str, Any]:
    """A document of one fault many times: which, and with what names, is a matter of the seed."""
    chance = random.Random(seed)
    keys = {f"{chance.choice('abcxyz')}{i}": chance.choice((1, "1", None, [], {})) for i in range(size)}
    nodes = [{"id": f"n{i}", "type": chance.choice(("t.any", "t.take", "t.if", "t.zzz"))} for i in range(size // 4)]
    document: dict[str, Any] = {"aicflow": 1, "name": "wide", "nodes": [{"id": "a", "type": "t.any"}]}
    match seed % 8:
        case 0:
            document |= keys
        case 1:
            document["nodes"][0]["params"] = keys
        case 2:
            document["nodes"][0] |= keys
        case 3:
            document["vars"], document["output"] = keys, [f"${{{{ vars.{key}q }}}}" for key in keys]
        case 4:
            document["nodes"] = [
                {**node, "params": {"value": f"${{{{ nodes.m{i} }}}}"}} for i, node in enumerate(nodes)
            ]
        case 5:
            document["nodes"] = nodes
            document["edges"] = [{"from": f"n{i}", "to": f"m{chance.random()}"} for i in range(size)]
        case 6:
            document["nodes"] = nodes
            document["edges"] = [
                {"from": f"n{chance.randrange(size // 4)}", "to": f"n{chance.randrange(size // 4)}"}
                for _ in range(size)
            ]
        case 7:
            document["input_schema"] = {"properties": {key: {"type": "object", "requird": 1} for key in keys}}
            document["output"] = [f"${{{{ input.{key}.q }}}}" for key in keys]
    return document


def calls(run: Any) -> int:
    """How many Python functions are called."""
    count = 0

    def tell(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(tell)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("seed", range(16))
def test_work_grows_as_the_document_does(registry, seed):
    """Four times the document: were work quadratic, it would be sixteen times as much."""
    small, large = wide(seed, 1_000), wide(seed, 4_000)
    validate(wide(seed, 40), registry)  # what is kept of node types is made once
    assert calls(lambda: validate(large, registry)) < 6 * calls(lambda: validate(small, registry)) + 20_000


def test_findings_are_bounded_and_the_others_counted(issues_of):
    found = issues_of({f"key{i}": 1 for i in range(20_000)})
    assert len(found) == 1_001
    assert found[-1].code == "doc.too-many-issues"
    assert "1900" in found[-1].message
    (all_in_one,) = issues_of({f"key{i}": 1 for i in range(60_000)})
    assert (all_in_one.code, "60,000" in all_in_one.message) == ("doc.schema", True)
    (params,) = issues_of({"nodes": [{"id": "a", "type": "t.any", "params": {f"k{i}": 1 for i in range(60_000)}}]})
    assert (params.code, "60,000" in params.message) == ("param.invalid", True)


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_all_positions_are_found_in_one_pass(format):
    document = {"a": [{"b/c": [1, {"d": "é"}]} for _ in range(300)], 'q"': {"x": 1}}
    data = json.dumps(document, indent=1).encode()
    source = read_document(data, format)
    pointers = [f"/a/{i}/b~1c/1/d" for i in range(300)] + ['/q"/x', "/a/7/missing"]
    together: list[Any] = []
    work = calls(lambda: together.append(source.find_positions(pointers)))
    assert [together[0].of(pointer) for pointer in pointers] == [source.position(pointer) for pointer in pointers]
    assert work < 20 * len(pointers)


def test_yaml_counts_its_values_and_the_text_of_aliases_once():
    nested = "x: " + "".join(f"&a{i} [" for i in range(50)) + "1, " * 2_000 + "1" + "]" * 50
    small = "x: &a [" + "1, " * 2_000 + "1]"
    read_document(small.encode(), "yaml")
    more = calls(lambda: read_document(nested.encode(), "yaml"))
    assert more < 2 * calls(lambda: read_document(small.encode(), "yaml")) + 5_000
