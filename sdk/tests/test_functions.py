"""A Python function becomes a python.code node: its body alone, with its parameters taken from the inputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aicflow_sdk import BuildError, Workflow, fn
from aicflow_sdk.execution import Execution
from sdk_kit import Server

OUTSIDE = 5


def test_parameters_become_inputs_and_the_body_code() -> None:
    wf = Workflow("w")
    fetch = wf.http("https://example.com", "fetch")

    @wf.python
    def total(lines=fetch.output.body["lines"], factor=2):
        """Add up the lines.

        All of them.
        """
        import math

        # prices are in cents
        return math.fsum(line["price"] for line in lines) * factor

    assert total.id == "total"
    assert wf.to_dict()["nodes"][1] == {
        "id": "total",
        "type": "python.code",
        "description": "Add up the lines.\n\nAll of them.",
        "params": {
            "code": 'lines, factor = inputs["lines"], inputs["factor"]\n'
            "import math\n\n# prices are in cents\n"
            'return math.fsum(line["price"] for line in lines) * factor\n',
            "inputs": {"lines": '${{ nodes.fetch.output.body["lines"] }}', "factor": 2},
        },
    }


def test_the_shapes_of_functions() -> None:
    wf = Workflow("w")

    @wf.python(id="given", inputs={"a": wf.input.x}, memory_mb=64, timeout=3)
    def named(a, b=1):
        return a + b

    @wf.python
    async def waiting():
        import asyncio

        await asyncio.sleep(0)
        return "\u2026"

    @wf.python
    def whole(inputs={"x": 1}):  # noqa: B006 - the whole object of inputs
        return inputs

    # fmt: off
    def short(a=1): return a * 2
    # fmt: on

    @wf.python
    def texts(name="x"):
        def inner(word):
            return [word for _ in range(2)]

        text = f"""a
  {name}
b"""
        other = """
    kept
"""
        return text + other + inner(name)

    @wf.python
    def empty():
        """Only words."""

    wf.python(short, "short")
    codes = {node["id"]: node["params"] for node in wf.to_dict()["nodes"]}
    assert codes["given"] == {"code": 'a, b = inputs["a"], inputs["b"]\nreturn a + b\n', "memory_mb": 64,
                              "inputs": {"a": "${{ input.x }}", "b": 1}}  # fmt: skip
    assert wf["given"]._entry["timeout"] == 3
    assert codes["waiting"]["code"].startswith("import asyncio\n\nawait asyncio.sleep(0)\n")
    assert codes["whole"] == {"code": "return inputs\n", "inputs": {"x": 1}}
    assert codes["short"]["code"] == 'a = inputs["a"]\nreturn a * 2\n'
    assert '\ntext = f"""a\n  {name}\nb"""\nother = """\n    kept\n"""\nreturn text' in codes["texts"]["code"]
    assert codes["empty"]["code"] == "return None"


def uses_outside(a=1):
    return a + OUTSIDE


def uses_outside_inside(a=1):
    return [x + OUTSIDE for x in (lambda: [a])()]


def sets_a_global():
    global OUTSIDE
    OUTSIDE = 6


def needs(a):
    return a


def takes_rest(*rest):
    return rest


def gives_many():
    yield 1


def two_inputs(inputs=1, other=2):
    return inputs, other


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (uses_outside, "uses OUTSIDE from outside"),
        (uses_outside_inside, "uses OUTSIDE from outside"),
        (sets_a_global, "uses OUTSIDE from outside"),
        (needs, "parameter 'a' of needs has no value"),
        (takes_rest, r"\*rest"),
        (gives_many, "yields"),
        (two_inputs, "beside others"),
        (lambda: 1, "def"),
        (len, "def"),
    ],
)
def test_functions_that_cannot_run_alone_are_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        Workflow("w").python(function)


def test_a_local_of_the_caller_is_foreign_too() -> None:
    limit = 5

    def over(a=1):
        return a > limit

    with pytest.raises(BuildError, match="uses limit from outside"):
        Workflow("w").python(over)


def test_unknown_inputs_and_missing_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no parameter 'b'"):
        Workflow("w").python(needs, inputs={"a": 1, "b": 2})
    scope: dict[str, Any] = {}
    exec("def typed(): return 1", scope)
    with pytest.raises(BuildError, match="source of typed cannot be found"):
        Workflow("w").python(scope["typed"])


def test_tabs_and_decorators_of_others_do_not_disturb(tmp_path: Path) -> None:
    file = tmp_path / "tabbed.py"
    file.write_text("def same(f):\n\treturn f\n\n@same\ndef f(a=1):\n\tif a:\n\t\treturn a\n\treturn 0\n")
    spec = importlib.util.spec_from_file_location("tabbed", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    node = Workflow("w").python(module.f)
    assert node.params["code"] == 'a = inputs["a"]\nif a:\n\treturn a\nreturn 0\n'


def test_functions_run_in_the_real_sandbox(client: Any, server: Server) -> None:
    wf = Workflow("functions")

    @wf.python
    def squares(n=wf.input.n):
        def square(x):
            return x * x

        return [square(x) for x in range(n)]

    length = fn.len(squares.output)

    @wf.python
    async def report(values=squares.output, count=length, title="Squares"):
        import asyncio

        await asyncio.sleep(0)
        return f"""{title}:
  {count} values, {sum(values)} in all"""

    squares >> report
    wf.output = report.output
    done: Execution = client.executions.run(client.workflows.create(wf), {"n": 4})
    assert done.result() == "Squares:\n  4 values, 14 in all"
