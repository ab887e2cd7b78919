"""OAuth2 client credentials: one token for many steps, new ones in time, and token endpoints that misbehave."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from aicflow import NodeError, PermanentError, TransientError
from aicflow.net import HostRules, HttpSettings
from aicflow.testing import RecordingContext, run_node
from aicflow_http import HttpRequest
from http_kit import Asked, Server, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]


@dataclass
class Api:
    """An API and its token endpoint on one server."""

    lifetime: Any = 3600
    given: int = 0
    revoked: set[str] = field(default_factory=set)
    refusing: tuple[int, Any, dict[str, str]] | None = None
    pause: float = 0

    async def __call__(self, asked: Asked, talk: Talk) -> None:
        if asked.path == "/token":
            await asyncio.sleep(self.pause)
            if self.refusing is not None:
                await talk.answer(*self.refusing)
                return
            self.given += 1
            answer = {"access_token": f"tok-{self.given}-{'x' * 20}", "token_type": "bearer"}
            await talk.answer(200, answer if self.lifetime is None else {**answer, "expires_in": self.lifetime})
            return
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not token or token in self.revoked:
            await talk.answer(401, {"error": f"bad token {token}"})
        else:
            await talk.answer(200, {"token": token, "body": asked.body.decode()})

    def serving(self) -> AbstractAsyncContextManager[Server]:
        return serving(self)


def auth(server: Server, **more: Any) -> dict[str, Any]:
    credentials = {"client_id": "me@app", "client_secret": "s3cret/value"}
    return {"type": "oauth2_client_credentials", "token_url": server.url("/token"), **credentials, **more}


async def test_one_token_serves_many_steps(send: Send) -> None:
    api = Api()
    async with api.serving() as server:
        for _ in range(3):
            assert (await send(url=server.url("/a"), auth=auth(server)))["status"] == 200
    assert api.given == 1
    question = server.asked[0]
    assert parse_qs(question.body.decode()) == {"grant_type": ["client_credentials"]}
    pair = base64.b64decode(question.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "me%40app:s3cret%2Fvalue"


async def test_everything_the_endpoint_may_want(send: Send) -> None:
    api = Api()
    async with api.serving() as server:
        more = {"credentials_in": "body", "scope": "a b", "audience": "https://api", "extra": {"resource": "r"}}
        await send(url=server.url("/a"), auth=auth(server, **more))
    assert "authorization" not in server.asked[0].headers
    assert parse_qs(server.asked[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["me@app"],
        "client_secret": ["s3cret/value"],
        "scope": ["a b"],
        "audience": ["https://api"],
        "resource": ["r"],
    }


async def test_many_steps_at_once_ask_once(send: Send) -> None:
    api = Api(pause=0.05)
    async with api.serving() as server:
        await asyncio.gather(*(send(url=server.url("/a"), auth=auth(server)) for _ in range(20)))
    assert api.given == 1


async def test_different_credentials_get_different_tokens(send: Send) -> None:
    api = Api()
    async with api.serving() as server:
        for more in ({}, {"scope": "x"}, {"client_secret": "other"}, {}):
            await send(url=server.url("/a"), auth=auth(server, **more))
    assert api.given == 3


@pytest.mark.parametrize("lifetime", [0, "0", 0.01])
async def test_a_token_is_not_used_beyond_its_life(send: Send, lifetime: Any) -> None:
    api = Api(lifetime=lifetime)
    async with api.serving() as server:
        for _ in range(2):
            await send(url=server.url("/a"), auth=auth(server))
            await asyncio.sleep(0.02)
    assert api.given == 2


@pytest.mark.parametrize("lifetime", [None, "3600", "soon", 10**400, [1]])
async def test_lifetimes_of_any_kind(send: Send, lifetime: Any) -> None:
    api = Api(lifetime=lifetime)
    async with api.serving() as server:
        for _ in range(2):
            await send(url=server.url("/a"), auth=auth(server))
    assert api.given == 1


async def test_a_token_that_the_api_refuses_is_replaced_once(send: Send) -> None:
    api = Api()
    async with api.serving() as server:
        body = {"type": "json", "value": {"a": 1}}
        first = await send(url=server.url("/a"), auth=auth(server))
        api.revoked.add(first["body"]["token"])
        second = await send(url=server.url("/a"), method="POST", body=body, auth=auth(server))
        assert second["body"] == {"token": f"tok-2-{'x' * 20}", "body": '{"a":1}'}
        api.revoked |= {f"tok-{n}-{'x' * 20}" for n in range(10)}
        context = RecordingContext()
        with pytest.raises(PermanentError, match="answered 401") as caught:
            await send(context, url=server.url("/a"), auth=auth(server))
    assert api.given == 3
    assert "tok-" not in context.redact(caught.value.message)


async def test_steps_that_are_refused_together_share_the_new_token(send: Send) -> None:
    api = Api(pause=0.02)
    async with api.serving() as server:
        first = await send(url=server.url("/a"), auth=auth(server))
        api.revoked.add(first["body"]["token"])
        await asyncio.gather(*(send(url=server.url("/a"), auth=auth(server)) for _ in range(10)))
    assert api.given == 2


@pytest.mark.parametrize(
    ("refusing", "kind", "said"),
    [
        ((401, {"error": "invalid_client"}, {}), PermanentError, "401: invalid_client"),
        ((400, {"error": "s3cret/value" * 20}, {}), PermanentError, "answered 400."),
        ((400, b"<html>s3cret/value", {}), PermanentError, "answered 400."),
        ((403, [1], {}), PermanentError, "answered 403."),
        ((503, b"", {"Retry-After": "9"}), TransientError, "answered 503."),
        ((429, b"", {}), TransientError, "answered 429."),
        ((302, b"", {"Location": "/elsewhere"}), PermanentError, "answered 302."),
        ((200, {"token": "x"}, {}), PermanentError, "holds no access_token"),
        ((200, {"access_token": 5}, {}), PermanentError, "holds no access_token"),
        ((200, b"access_token=x", {}), PermanentError, "holds no access_token"),
        ((200, {"access_token": "a\r\nX: 1"}, {}), PermanentError, "line break"),
    ],
)
async def test_token_endpoints_that_refuse(send: Send, refusing: Any, kind: type[NodeError], said: str) -> None:
    async with Api(refusing=refusing).serving() as server:
        with pytest.raises(kind) as caught:
            await send(url=server.url("/a"), auth=auth(server))
    assert said in caught.value.message
    assert "s3cret" not in caught.value.message
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after == (9.0 if "503" in said else None)


async def test_a_fetch_that_is_cancelled_does_not_stop_the_others(node: HttpRequest, send: Send) -> None:
    api = Api(pause=0.05)
    async with api.serving() as server:
        tasks = [asyncio.ensure_future(send(url=server.url("/a"), auth=auth(server))) for _ in range(3)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(isinstance(outcome, dict) for outcome in outcomes[1:])


async def test_the_token_endpoint_is_guarded_too() -> None:
    api = Api()
    async with api.serving() as server, serving(api) as other:
        node = HttpRequest(HttpSettings(allow=HostRules.parse(f"127.0.0.1:{server.port}")))
        with pytest.raises(PermanentError, match="refused"):
            await run_node(HttpRequest, {"url": server.url("/a"), "auth": auth(other)}, instance=node)
        await node.stop()
    assert server.asked == other.asked == []


async def test_a_token_is_not_sent_to_a_stranger(send: Send) -> None:
    async with serving(Api()) as other:
        api = Api()

        async def handler(asked: Asked, talk: Talk) -> None:
            if asked.path == "/a":
                await talk.answer(302, "", {"Location": other.url("/b")})
            else:
                await api(asked, talk)

        async with serving(handler) as server:
            with pytest.raises(PermanentError, match="401"):
                await send(url=server.url("/a"), auth=auth(server))
        assert "authorization" not in other.asked[0].headers
