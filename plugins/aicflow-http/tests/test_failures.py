"""What fails, whether it may be tried again, when, and what is said: never a credential."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aicflow import NodeError, PermanentError, TransientError
from aicflow.testing import RecordingContext, run_workflow
from aicflow_http import HttpRequest, HttpRequestParams
from http_kit import Asked, Handler, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]


def answering(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(status, body, headers)

    return handler


@pytest.mark.parametrize(
    ("method", "status", "again"),
    [
        ("GET", 400, False),
        ("GET", 404, False),
        ("GET", 408, True),
        ("GET", 409, False),
        ("GET", 425, True),
        ("GET", 429, True),
        ("GET", 500, True),
        ("PUT", 503, True),
        ("DELETE", 599, True),
        ("POST", 408, False),
        ("POST", 425, True),
        ("POST", 429, True),
        ("POST", 500, False),
        ("PATCH", 503, False),
    ],
)
async def test_statuses(send: Send, method: str, status: int, again: bool) -> None:
    async with serving(answering(status, {"error": "why"})) as server:
        with pytest.raises(NodeError) as caught:
            await send(url=server.url("/x?secret=1"), method=method)
    assert isinstance(caught.value, TransientError) is again
    assert isinstance(caught.value, PermanentError) is not again
    assert caught.value.code == "http-status"
    assert caught.value.details == {"status": status}
    assert caught.value.message.startswith(f"{method} {server.url('/x')} answered {status}")
    assert '{"error": "why"}' in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("more", [{"retry_non_idempotent": True}, {"idempotency_header": "Idempotency-Key"}])
async def test_post_may_be_tried_again_when_the_author_says_so(send: Send, more: dict[str, Any]) -> None:
    async with serving(answering(500)) as server:
        with pytest.raises(TransientError):
            await send(url=server.url(), method="POST", **more)


@pytest.mark.parametrize(
    ("accept", "status", "fine"),
    [
        ([404], 404, True),
        (["404"], 404, True),
        (["4xx"], 422, True),
        (["4xx"], 500, False),
        (["400-404", 503], 404, True),
        (["400-404", 503], 405, False),
        (["400-404", 503], 503, True),
        ([], 399, True),
    ],
)
async def test_accepted_statuses(send: Send, accept: list[Any], status: int, fine: bool) -> None:
    async with serving(answering(status, {"a": 1})) as server:
        if fine:
            output = await send(url=server.url(), accept_status=accept)
            assert (output["status"], output["body"]) == (status, {"a": 1})
        else:
            with pytest.raises(NodeError):
                await send(url=server.url(), accept_status=accept)
        assert (await send(url=server.url(), raise_for_status=False))["status"] == status


@pytest.mark.parametrize("entry", ["6xx", "44", "abc", 99, 600, "400-"])
def test_statuses_that_are_not(entry: Any) -> None:
    with pytest.raises(ValueError, match="not a status"):
        HttpRequestParams.model_validate({"url": "http://a", "accept_status": [entry]})


async def test_the_time_to_wait_goes_to_whoever_retries(send: Send) -> None:
    async with serving(answering(429, b"", {"Retry-After": "7"})) as server:
        with pytest.raises(TransientError) as caught:
            await send(url=server.url())
    assert caught.value.retry_after == 7.0


async def quiet(asked: Asked, talk: Talk) -> None:
    await talk.gone()


async def dripping(asked: Asked, talk: Talk) -> None:
    await talk.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not talk.writer.transport.is_closing():
        await talk.raw(b"x")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("handler", "timeouts", "said"),
    [
        (quiet, {"read": 0.05}, "nothing came for 0.05 s"),
        (quiet, {"total": 0.05}, "no complete response within 0.05 s"),
        (dripping, {"read": 5, "total": 0.2}, "no complete response within 0.2 s"),
    ],
)
async def test_timeouts(send: Send, handler: Handler, timeouts: dict[str, float], said: str) -> None:
    async with serving(handler) as server:
        with pytest.raises(TransientError, match=said) as caught:
            await send(url=server.url(), timeouts=timeouts)
        assert caught.value.code == "http-timeout"
        with pytest.raises(PermanentError, match=said):
            await send(url=server.url(), timeouts=timeouts, method="POST")


@pytest.mark.parametrize("timeouts", [{"read": 0}, {"connect": -1}, {"total": 10**9}, {"read": float("nan")}, {"x": 1}])
def test_timeouts_that_are_not(timeouts: Any) -> None:
    with pytest.raises(ValueError, match="timeouts"):
        HttpRequestParams.model_validate({"url": "http://a", "timeouts": timeouts})


async def test_cancelling_closes_the_socket(node: HttpRequest) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handler(asked: Asked, talk: Talk) -> None:
        arrived.set()
        if asked.path == "/body":
            await talk.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await talk.gone()
        left.set()

    async with serving(handler) as server:
        for path in ("/head", "/body"):
            arrived.clear()
            left.clear()
            params = HttpRequestParams.model_validate({"url": server.url(path)})
            task = asyncio.create_task(node.run(RecordingContext(), params))
            await asyncio.wait_for(arrived.wait(), 5)
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(left.wait(), 5)


async def test_stopping_the_node_closes_idle_connections(node: HttpRequest, send: Send) -> None:
    left = asyncio.Event()

    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, "x")
        await talk.gone()
        left.set()

    async with serving(handler) as server:
        await send(url=server.url())
        await node.stop()
        await asyncio.wait_for(left.wait(), 5)


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(send: Send) -> None:
    """The server answers, waits until the next request is on its way, and closes without reading it."""

    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, "x")
        await talk.reader.read(1)
        talk.cut()

    async with serving(handler) as server:
        for _ in range(3):
            assert (await send(url=server.url()))["body"] == "x"
        with pytest.raises(PermanentError, match=r"broke|cut off"):
            await send(url=server.url(), method="POST")  # it might have been read


async def test_many_at_once_share_the_pool_and_finish(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await asyncio.sleep(0.01)
        await talk.answer(200, asked.query["n"])

    async with serving(handler) as server:
        outputs = await asyncio.gather(*(send(url=server.url(), query={"n": n}) for n in range(300)))
    assert [output["body"] for output in outputs] == [str(n) for n in range(300)]
    assert server.connections <= 100


SECRET = "hunter2hunter2"


async def test_an_excerpt_that_ends_inside_a_credential_shows_nothing_of_it(send: Send) -> None:
    context = RecordingContext()
    auth = {"type": "bearer", "token": SECRET}
    for before in (487, 495, 505):  # where an excerpt ends, and where what is read of it ended
        said = answering(403, "x" * before + " " * 1490 + SECRET, {"Content-Type": "text/plain"})
        async with serving(said) as server:
            with pytest.raises(NodeError) as caught:
                await send(context, url=server.url("/p"), auth=auth)
        assert SECRET[:3] not in caught.value.message


@pytest.mark.parametrize(
    "params",
    [
        {"auth": {"type": "basic", "username": "me", "password": SECRET}},
        {"auth": {"type": "bearer", "token": SECRET}},
        {"auth": {"type": "api_key", "value": SECRET}},
        {"auth": {"type": "api_key", "value": SECRET, "location": "query", "name": "k"}},
        {"headers": {"X-My-Key": f"Key {SECRET}"}},
        {"cookies": {"sid": SECRET}},
    ],
)
@pytest.mark.parametrize("echo", [True, False])
async def test_no_credential_in_errors_logs_or_output(
    send: Send, params: dict[str, Any], echo: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        if echo:  # a server that repeats what it was given
            said = f"{asked.headers} {asked.target}"
            await talk.answer(403, said, {"Content-Type": "text/plain"})
        else:
            talk.cut()

    caplog.set_level(logging.DEBUG)
    context = RecordingContext()
    async with serving(handler) as server:
        with pytest.raises(NodeError) as caught:
            await send(context, url=server.url("/p"), **params)
        shown = str(send) if not echo else server.asked[0].target
        output = await send(context, url=server.url("/p"), raise_for_status=False, **params) if echo else {}
    error = caught.value
    said = context.redact("".join(traceback.format_exception(error)) + repr(vars(error)))
    said += (
        caplog.text
        + repr(context.logs)
        + str(output.get("url"))
        + repr(HttpRequestParams.model_validate({"url": "http://a", **params}))
    )
    assert SECRET not in said
    assert "bWU6aHVudGVyMmh1bnRlcjI=" not in said
    assert shown


async def test_a_credential_that_a_server_repeats_is_masked_in_what_an_execution_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(403 if asked.path == "/no" else 200, {"you": asked.headers["authorization"]})

    monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "127.0.0.1")
    auth = {"type": "bearer", "token": SECRET}
    async with serving(handler) as server:
        nodes = [
            {"id": "yes", "type": "http.request", "params": {"url": server.url("/"), "auth": auth}},
            {"id": "no", "type": "http.request", "params": {"url": server.url("/no"), "auth": auth}},
        ]
        document = {"aicflow": 1, "name": "w", "nodes": nodes, "edges": [{"from": "yes", "to": "no"}]}
        found = await run_workflow(document)
    assert found.status == "failed"
    assert found.error is not None
    assert "Bearer ***" in found.error.message
    assert SECRET not in repr((found.error, found.events))
