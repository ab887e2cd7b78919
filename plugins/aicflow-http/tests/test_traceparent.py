"""Requests carry on the trace that their execution belongs to."""

from __future__ import annotations

from aicflow_http.outgoing import build
from aicflow_http.params import HttpRequestParams

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_trace_goes_along_unless_the_headers_have_one() -> None:
    params = HttpRequestParams(url="https://api.example.com/")
    assert build(params, "key", TRACE).headers["traceparent"] == TRACE
    assert "traceparent" not in build(params, "key").headers
    own = HttpRequestParams(url="https://api.example.com/", headers={"Traceparent": "own"})
    assert build(own, "key", TRACE).headers.get_list("traceparent") == ["own"]
