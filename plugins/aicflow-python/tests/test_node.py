"""The node as a workflow meets it: params in, output out, logs in the step, failures that say where."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import AICFlowError, NodeError, PermanentError, TransientError
from aicflow.testing import LogLine, RecordingContext, run_node, run_workflow
from aicflow_python import PythonCode, PythonSettings, TrustedPythonCode, aicflow_nodes
from aicflow_python.sandbox import Limits

POSIX = "import contextlib\nposix = contextlib.sys.modules['posix']\n"


async def fails(params: dict[str, Any], node: PythonCode | None = None) -> NodeError:
    with pytest.raises(NodeError) as caught:
        await run_node(PythonCode, params, instance=node)
    return caught.value


async def test_it_gives_what_the_code_returns() -> None:
    context = RecordingContext()
    params = {"code": "print('adding')\nreturn {'sum': inputs['a'] + inputs['b']}", "inputs": {"a": 1, "b": 2}}
    assert await run_node(PythonCode, params, context=context) == {"sum": 3}
    assert context.logs == [LogLine("info", "adding", {})]


async def test_log_fields_cannot_take_the_place_of_the_line() -> None:
    context = RecordingContext()
    code = "log('real', level='warning', n=1, **{'fields': 2})"
    await run_node(PythonCode, {"code": code}, context=context)
    assert context.logs == [LogLine("warning", "real", {"n": 1, "fields": 2})]


async def test_code_is_never_interpolated() -> None:
    schema = PythonCode.params_schema()["properties"]
    assert schema["code"]["x-aicflow"] == {"kind": "code"}
    assert "x-aicflow" not in schema["inputs"]


async def test_an_error_of_the_code() -> None:
    error = await fails({"code": "x = {}\nx['a']"})
    assert (error.code, error.pointer, str(error)) == ("code-raised", "/code", "KeyError: 'a' (line 2)")
    assert error.details["excerpt"] == "  1 | x = {}\n> 2 | x['a']"
    assert not isinstance(error, PermanentError | TransientError)
    assert "inputs" in ((await fails({"code": "return order", "inputs": {"order": 1}})).hint or "")


async def test_retry_may_name_the_type_that_the_code_raises_or_its_bases() -> None:
    error = await fails({"code": "class Busy(LookupError): pass\nraise Busy"})
    assert {"Busy", "LookupError"} <= set(error.types)
    document = {
        "aicflow": 1,
        "name": "test",
        "nodes": [
            {
                "id": "parse",
                "type": "python.code",
                "params": {"code": "import json\nlog('try')\nreturn json.loads('{')"},
                "retry": {"max_attempts": 3, "initial_delay": 0, "on": ["ValueError"]},
            }
        ],
    }
    result = await run_workflow(document)
    assert [step.attempt for step in result.steps.values()] == [3]


def test_the_code_may_raise_what_it_mentions_and_what_its_modules_define() -> None:
    known = PythonCode.errors_for({"code": "class Busy(Exception): pass"})
    assert known is not None
    assert {"Busy", "JSONDecodeError", "code-raised"} <= set(known)
    assert PythonCode.errors_for({"code": "1", "environment": "numbers"}) is None


@pytest.mark.parametrize(
    ("params", "code", "kind"),
    [
        ({"code": "return {1}"}, "result-invalid", PermanentError),
        ({"code": "x ="}, "code-invalid", PermanentError),
        ({"code": "while True: pass", "cpu_seconds": 0.1}, "limit-exceeded", PermanentError),
        ({"code": "import time\ntime.sleep(9)", "timeout": 0.1}, "limit-exceeded", TransientError),
        ({"code": "return 1", "inputs": {"x": float("nan")}}, "inputs-invalid", PermanentError),
        ({"code": "return 1", "memory_mb": 1 << 20}, "limit-above-ceiling", PermanentError),
        ({"code": "return 1", "environment": "nowhere"}, "sandbox-unavailable", TransientError),
        ({"code": f"{POSIX}posix._exit(1)"}, "sandbox-crashed", TransientError),
        ({"code": f"{POSIX}posix.write(0, b'x' * 99)"}, "sandbox-forged", PermanentError),
    ],
)  # fmt: skip
async def test_failures_are_classified(params: dict[str, Any], code: str, kind: type[NodeError]) -> None:
    error = await fails(params)
    assert error.code == code
    assert isinstance(error, kind)
    assert str(error)


async def test_an_execution_keeps_its_process_until_it_is_released() -> None:
    node = PythonCode(PythonSettings(warm=1))
    await node.start()
    who = {"code": "import contextlib\nreturn contextlib.sys.modules['posix'].getpid()"}
    try:
        one = RecordingContext(execution_id="one")
        first = await run_node(PythonCode, who, context=one, instance=node)
        assert await run_node(PythonCode, who, context=one, instance=node) == first
        assert await run_node(PythonCode, {**who, "scope": "call"}, context=one, instance=node) != first
        of_a_model = RecordingContext(execution_id="one", untrusted=True)
        assert await run_node(PythonCode, {**who, "scope": "execution"}, context=of_a_model, instance=node) != first
        assert await run_node(PythonCode, who, context=one, instance=node) == first
        other = RecordingContext(execution_id="other")
        assert await run_node(PythonCode, who, context=other, instance=node) != first
        await node.release("one")
        assert await run_node(PythonCode, who, context=one, instance=node) != first
    finally:
        await node.stop()


async def test_without_a_sandbox_nothing_runs_and_the_step_says_why() -> None:
    node = PythonCode(PythonSettings(require=("seccomp", "moat")))
    with pytest.raises(PermanentError, match="moat") as caught:
        await node.start()
    assert caught.value.code == "sandbox-unavailable"
    assert not node.layers().ready
    assert (await fails({"code": "return 1"}, node)).code == "sandbox-unavailable"
    await node.stop()


async def test_the_layers_can_be_told() -> None:
    node = PythonCode(PythonSettings(warm=1))
    assert node.layers().reason == "not started"
    await node.start()
    layers = node.layers()
    await node.stop()
    assert layers.ready
    assert {"seccomp", "no_new_privs", "rlimits"} <= layers.active.keys()


def test_the_operators_settings() -> None:
    environ = {
        "AICFLOW_PYTHON_BACKENDS": "process, restricted",
        "AICFLOW_PYTHON_MEMORY_MB": "256",
        "AICFLOW_PYTHON_TIMEOUT": "2.5",
        "AICFLOW_PYTHON_ENVIRONMENTS": "science=numpy, numpy.linalg; text=regex",
        "AICFLOW_PYTHON_REQUIRE": "seccomp,landlock",
    }
    settings = PythonSettings.from_environment(environ)
    assert settings.backends == ("process", "restricted")
    assert settings.ceiling == Limits(memory_mb=256, timeout=2.5)
    assert settings.environments["science"].packages == ("numpy", "numpy.linalg")
    assert settings.require == ("seccomp", "landlock")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BACKENDS", "docker", "'docker' is not a backend"),
        ("BACKENDS", "process,trusted", "excludes the others"),
        ("MEMORY_MB", "lots", "'lots' is not a whole number above 0"),
        ("TIMEOUT", "-1", "'-1' is not a number above 0"),
        ("TIMEOUT", "nan", "'nan' is not a number above 0"),
        ("ENVIRONMENTS", "science", "'science' is not name=package,package"),
    ],
)
def test_unusable_settings_name_the_variable(name: str, value: str, said: str) -> None:
    with pytest.raises(AICFlowError, match=f"AICFLOW_PYTHON_{name}") as caught:
        PythonSettings.from_environment({f"AICFLOW_PYTHON_{name}": value})
    assert said in str(caught.value)


def test_trusted_code_is_not_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert aicflow_nodes() == [PythonCode]
    assert PythonCode.pure
    monkeypatch.setenv("AICFLOW_PYTHON_BACKENDS", "trusted")
    assert aicflow_nodes() == [TrustedPythonCode]
    assert not TrustedPythonCode.pure


def test_a_changed_variable_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PythonSettings.from_environment() is PythonSettings.from_environment()
    monkeypatch.setenv("AICFLOW_PYTHON_TIMEOUT", "3")
    assert PythonSettings.from_environment().ceiling.timeout == 3
    monkeypatch.delenv("AICFLOW_PYTHON_TIMEOUT")
    assert PythonSettings.from_environment().ceiling.timeout == Limits().timeout
