"""Whatever bytes come back, the host gives an outcome or refuses them; it never does anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aicflow_python.sandbox import Call, Limits, SandboxFailure
from aicflow_python.sandbox.frames import Forged, Logs, encode_request, failure_in, read_reply
from hypothesis import given, settings
from hypothesis import strategies as st

CALL = Call("return 1\n")
LIMITS = Limits()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def judge(frame: bytes) -> object:
    """What the host makes of a last frame."""
    reply = read_reply(frame)
    if "logs" in reply:
        Logs(LIMITS.stdout_bytes).read(reply["logs"])
    return failure_in(reply, CALL, LIMITS)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(frame: bytes) -> None:
    try:
        judge(frame)
    except Forged:
        pass


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["logs", "value", "fault", "limit", "problems", "hello"]), JSON, max_size=3))
def test_any_reply(reply: dict[str, Any]) -> None:
    try:
        failure = judge(json.dumps(reply).encode())
    except Forged:
        return
    assert failure is None or isinstance(failure, SandboxFailure)


FAULT = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON | st.sampled_from(["ValueError", "InvalidInput"]),
        "message": JSON,
        "line": JSON | st.integers(-3, 3),
        "column": JSON,
        "frames": JSON | st.lists(st.tuples(st.integers(-1, 3), st.text(max_size=5)), max_size=50),
        "cause": JSON,
        "limit": JSON | st.sampled_from(["timeout", "input_bytes", "__class__"]),
        "size": JSON,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["fault", "limit"]), FAULT)
def test_any_fault(kind: str, fault: dict[str, Any]) -> None:
    try:
        failure = judge(json.dumps({kind: fault}).encode())
    except Forged:
        return
    assert isinstance(failure, SandboxFailure)
    assert failure.line is None or 1 <= failure.line <= 2
    assert len(failure.message) <= 9000


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[]",
        b'{"value":NaN}',
        b'{"value":-Infinity}',
        b'{"value":1e999}',
        b'{"value":' + b"1" * 300 + b".0e99}",
        b'{"value":' + b"9" * 250 + b"e99}",
        b'{"value":"\\ud800"}',
        b'{"value":"\xff"}',
        b'{"value":1}{"value":2}',
        b'{"value":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"value":1,"other":2}',
        b"{}",
    ],
)
def test_what_json_or_the_runner_would_not_say(frame: bytes) -> None:
    with pytest.raises(Forged):
        judge(frame)


def test_ordinary_numbers_pass() -> None:
    for value in (0, -1, 1.5e300, 2**100, 1e-300, int("9" * 300), "Infinity", ["NaN", {"-Infinity": None}]):
        assert read_reply(json.dumps({"value": value}).encode())["value"] == value


def test_log_lines_are_counted_again() -> None:
    meter = Logs(100)
    meter.read([["info", "x" * 20]] * 3)
    with pytest.raises(Forged, match="more log lines"):
        meter.read([["info", "x" * 20]])


def test_code_in_inputs_stays_data() -> None:
    """Inputs are spliced into the request as JSON: nothing in them can become another key of it."""
    evil = {'"},"code":"return 2': '","limits":{}}', "x": "\u2028\u0000"}
    request = json.loads(encode_request(Call("return 1", evil), LIMITS)[4:])
    assert request["code"] == "return 1"
    assert request["inputs"] == evil
