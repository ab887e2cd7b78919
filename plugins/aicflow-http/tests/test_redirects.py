"""Redirects: how methods change, what is left behind on the way to a stranger, loops, and ways back inside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aicflow import PermanentError
from aicflow_http.sending import same_party
from http_kit import Asked, Handler, Server, Talk, serving
from httpx2 import URL

Send = Callable[..., Awaitable[dict[str, Any]]]


def moving(status: int, location: Callable[[], str], **headers: str) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        if asked.path == "/start":
            await talk.answer(status, "moved", {"Location": location(), **headers})
        else:
            await talk.answer(200, "arrived")

    return handler


@pytest.mark.parametrize(
    ("status", "method", "after", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (301, "PUT", "PUT", b"data"),
        (307, "POST", "POST", b"data"),
        (308, "POST", "POST", b"data"),
        (308, "PATCH", "PATCH", b"data"),
    ],
)
async def test_methods_and_bodies(send: Send, status: int, method: str, after: str, body: bytes) -> None:
    async with serving(moving(status, lambda: "../end?x=1#frag")) as server:
        output = await send(
            url=server.url("/start"), method=method, body={"type": "raw", "text": "data"}, headers={"X-Mine": "1"}
        )
        last = server.asked[-1]
    assert (last.method, last.body, last.target) == (after, body, "/end?x=1")
    assert ("content-type" in last.headers) == bool(body)
    assert last.headers["x-mine"] == "1"
    assert output["redirects"] == 1
    assert output["url"] == server.url("/end?x=1")


CREDENTIALS = [
    {"auth": {"type": "basic", "username": "me", "password": "hidden"}},
    {"auth": {"type": "bearer", "token": "hidden"}},
    {"auth": {"type": "api_key", "value": "hidden"}},
    {"auth": {"type": "api_key", "value": "hidden", "location": "query"}},
    {"auth": {"type": "hmac", "secret": "hidden"}},
    {"headers": {"Authorization": "hidden", "X-Anything": "hidden", "Accept": "text/csv"}},
    {"headers": {"Cookie": "a=hidden"}},
    {"cookies": {"a": "hidden"}},
]


@pytest.mark.parametrize("credentials", CREDENTIALS)
async def test_nothing_secret_goes_to_a_stranger(send: Send, credentials: dict[str, Any]) -> None:
    async def stranger(asked: Asked, talk: Talk) -> None:
        if asked.path == "/back":
            await talk.answer(200, "x")
        else:
            await talk.answer(302, "", {"Location": home.url("/again")})

    async with serving(stranger) as other:

        async def handler(asked: Asked, talk: Talk) -> None:
            if asked.path == "/again":
                await talk.answer(200, "x")
            else:
                await talk.answer(302, "", {"Location": other.url("/"), "Set-Cookie": "mine=hidden; Path=/; Secure"})

        async with serving(handler) as home:
            await send(url=home.url("/start"), **credentials)
            first, away, again = home.asked[0], other.asked[0], home.asked[1]
    said = str(first.headers) + first.target
    assert "hidden" in said or "authorization" in said or "x-signature" in said
    for asked in (away, again):  # having left, it is a stranger's request, even when it comes home
        names = set(asked.headers) - {"host", "accept", "accept-encoding", "user-agent"}
        assert not names
        assert asked.target in ("/", "/again")
    if "Accept" in credentials.get("headers", {}):
        assert away.headers["accept"] == "text/csv"


@pytest.mark.parametrize("credentials", CREDENTIALS)
async def test_at_home_they_go_along(send: Send, credentials: dict[str, Any]) -> None:
    async with serving(moving(302, lambda: "/end")) as server:
        await send(url=server.url("/start"), **credentials)
        first, last = server.asked
    for name in ("authorization", "x-api-key", "cookie", "x-anything"):
        assert first.headers.get(name) == last.headers.get(name)
    assert ("x-signature" in first.headers) == ("x-signature" in last.headers)
    assert first.query == last.query


async def test_cookies_set_on_the_way_are_kept_for_the_way(send: Send) -> None:
    async with serving(moving(302, lambda: "/end", **{"Set-Cookie": "login=yes; Path=/"})) as server:
        await send(url=server.url("/start"), cookies={"own": "1"})
        assert server.asked[1].headers["cookie"] == "own=1; login=yes"


async def test_loops_end(send: Send) -> None:
    async with serving(moving(302, lambda: "/start")) as server:
        with pytest.raises(PermanentError, match="More than 3 redirects") as caught:
            await send(url=server.url("/start"), redirects={"max": 3})
        assert caught.value.code == "http-redirect"
        assert len(server.asked) == 4


async def test_redirects_can_be_looked_at(send: Send) -> None:
    async with serving(moving(302, lambda: "/end")) as server:
        output = await send(url=server.url("/start"), redirects={"follow": False})
    assert (output["status"], output["headers"]["location"], output["body"]) == (302, "/end", "moved")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/end",
        "http://0x7f000001:{port}/end",
        "http://2130706433:{port}/end",
        "//10.0.0.1/x",
        "http://[::ffff:10.0.0.1]/",
    ],
)
async def test_a_redirect_inwards_is_refused(send: Send, location: str) -> None:
    async with serving(moving(302, lambda: location.format(port=server.port))) as server:
        with pytest.raises(PermanentError, match="refused") as caught:
            await send(url=server.url("/start"))
        assert caught.value.code == "http-refused"
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://x/",
        "http://%31/",
        "http://a b/",
        "http://[",
        "http://user:pw@127.0.0.1/",
        "javascript:1",
        "http://a:0/",
    ],
)
async def test_a_redirect_to_nowhere(send: Send, location: str) -> None:
    async with serving(moving(302, lambda: location)) as server:
        with pytest.raises(PermanentError, match="redirects to a URL that cannot be followed"):
            await send(url=server.url("/start"))


async def test_a_redirect_without_location_is_an_answer(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(302, "where?")

    async with serving(handler) as server:
        assert (await send(url=server.url()))["status"] == 302


@pytest.mark.parametrize(
    ("first", "other", "same"),
    [
        ("https://a.example/x", "https://a.example/y", True),
        ("https://a.example/", "https://a.example:443/", True),
        ("https://A.example/", "https://a.example/", True),
        ("http://a.example/", "https://a.example/", True),
        ("https://a.example/", "http://a.example/", False),
        ("http://a.example:8080/", "https://a.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
        ("https://a.example/", "https://b.a.example/", False),
        ("https://a.example/", "https://a.example.evil/", False),
    ],
)
def test_who_is_the_same_party(first: str, other: str, same: bool) -> None:
    assert same_party(URL(first), URL(other)) is same


def test_the_kit_knows_its_address() -> None:
    assert Server("127.0.0.1", 8080, "http").url("/a") == "http://127.0.0.1:8080/a"
