"""Lists over many pages: four ways to go on, caps, loops, and pages that are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from aicflow import PermanentError, TransientError
from aicflow.testing import RecordingContext
from aicflow_http.pages import ABSENT, find, linked
from http_kit import Asked, Handler, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]

ITEMS = list(range(25))


def by_link(size: int = 10) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        start = int(asked.query.get("start", 0))
        links = ['<https://docs.example/?a=1,2>; rel="help"']
        if start + size < len(ITEMS):
            links.append(f'<?start={start + size}&q={asked.query.get("q", "")}>; rel="next"')
        await talk.answer(200, ITEMS[start : start + size], {"Link": ", ".join(links)})

    return handler


def by_cursor(asked: Asked, size: int = 10) -> dict[str, Any]:
    sent = json.loads(asked.body) if asked.body else asked.query
    start = int(sent.get("cursor") or 0)
    more = start + size < len(ITEMS)
    return {
        "data": {"items": ITEMS[start : start + size]},
        "meta": {"next": str(start + size) if more else None, "more": more, "always": start + size},
        "next": f"/x?cursor={start + size}" if more else "",
    }


async def cursor(asked: Asked, talk: Talk) -> None:
    await talk.answer(200, by_cursor(asked))


async def numbered(asked: Asked, talk: Talk) -> None:
    page, size = int(asked.query["page"]), int(asked.query.get("per_page", 10))
    await talk.answer(200, ITEMS[(page - 1) * size : page * size])


async def offset(asked: Asked, talk: Talk) -> None:
    start, limit = int(asked.query["offset"]), int(asked.query["limit"])
    await talk.answer(200, {"rows": ITEMS[start : start + limit]})


@pytest.mark.parametrize(
    ("handler", "rule", "pages"),
    [
        (by_link(), {"type": "link"}, 3),
        (cursor, {"type": "cursor", "items": "data.items", "cursor": "meta.next"}, 3),
        (cursor, {"type": "cursor", "items": "/data/items", "cursor": "/meta/next"}, 3),
        (cursor, {"type": "cursor", "items": "data.items", "next_url": "next"}, 3),
        (cursor, {"type": "cursor", "items": "data.items", "cursor": "meta.always", "has_more": "meta.more"}, 3),
        (numbered, {"type": "page"}, 4),
        (numbered, {"type": "page", "size": 10, "size_param": "per_page"}, 3),
        (numbered, {"type": "page", "size": 5, "size_param": "per_page"}, 6),
        (offset, {"type": "offset", "items": "rows", "limit": 7}, 4),
        (offset, {"type": "offset", "items": "rows", "limit": 25}, 2),
    ],
)
async def test_all_items_of_all_pages(send: Send, handler: Handler, rule: dict[str, Any], pages: int) -> None:
    async with serving(handler) as server:
        auth = {"type": "api_key", "name": "key", "value": "k", "location": "query"}
        output = await send(url=server.url("/x?q=1"), headers={"X-Mine": "1"}, auth=auth, pagination=rule)
    assert output["body"] == ITEMS
    assert (output["pages"], output["has_more"], output["body_type"]) == (pages, False, "json")
    assert len(server.asked) == pages
    assert server.connections == 1
    for asked in server.asked:
        assert (asked.headers["x-mine"], asked.query["key"]) == ("1", "k")
        assert asked.target.count("page=") <= 2
        assert asked.target.count("cursor=") <= 1


async def test_a_cursor_in_the_body(send: Send) -> None:
    rule = {"type": "cursor", "items": "data.items", "cursor": "meta.next", "location": "body"}
    async with serving(cursor) as server:
        body = {"type": "json", "value": {"filter": "x"}}
        output = await send(url=server.url(), method="POST", body=body, pagination=rule)
        assert output["body"] == ITEMS
        assert json.loads(server.asked[1].body) == {"filter": "x", "cursor": "10"}
        with pytest.raises(PermanentError, match="type json that is an object") as caught:
            await send(url=server.url(), method="POST", pagination=rule)
        assert caught.value.pointer == "/pagination/location"


@pytest.mark.parametrize(
    ("caps", "items", "pages"),
    [
        ({"max_pages": 1}, 10, 1),
        ({"max_pages": 2}, 20, 2),
        ({"max_items": 15}, 15, 2),
        ({"max_items": 10}, 10, 1),
        ({"max_items": 5}, 5, 1),
        ({"max_bytes": 60}, 10, 1),
        ({"max_bytes": 80}, 20, 2),
    ],
)
async def test_caps_end_the_walk_and_say_so(send: Send, caps: dict[str, int], items: int, pages: int) -> None:
    context = RecordingContext()
    async with serving(by_link()) as server:
        output = await send(context, url=server.url(), pagination={"type": "link", **caps})
    assert output["body"] == ITEMS[:items]
    assert (output["has_more"], output["pages"]) == (True, pages)
    assert context.logs[0].level == "warning"


async def test_a_cap_that_fits_exactly_is_no_cap(send: Send) -> None:
    async with serving(by_link()) as server:
        for caps in ({"max_pages": 3}, {"max_items": 25}):
            assert not (await send(url=server.url(), pagination={"type": "link", **caps}))["has_more"]


async def test_a_page_that_is_too_large_fails(send: Send) -> None:
    async with serving(by_link()) as server:
        for more in ({"response": {"max_bytes": 20}}, {"response": {"max_bytes": 20, "on_too_large": "truncate"}}):
            with pytest.raises(PermanentError, match="larger than 20 bytes"):
                await send(url=server.url(), pagination={"type": "link"}, **more)
        with pytest.raises(PermanentError, match="larger than 20 bytes"):
            await send(url=server.url(), pagination={"type": "link", "max_bytes": 20})


@pytest.mark.parametrize(
    ("answer", "rule", "said"),
    [
        ({"data": [1], "next": "same"}, {"type": "cursor", "items": "data", "cursor": "next"}, "read before"),
        ({"data": [1], "next": "/x"}, {"type": "cursor", "items": "data", "next_url": "next"}, "read before"),
        ({"data": [1], "next": "ftp://x/"}, {"type": "cursor", "items": "data", "next_url": "next"}, "cannot be read"),
        ({"data": [1], "next": 5}, {"type": "cursor", "items": "data", "next_url": "next"}, "not a URL"),
        ({"data": [1], "next": {}}, {"type": "cursor", "items": "data", "cursor": "next"}, "neither text nor"),
        ({"data": [1], "next": True}, {"type": "cursor", "items": "data", "cursor": "next"}, "neither text nor"),
        ({"data": {}}, {"type": "page", "items": "data"}, "no list at 'data', but dict"),
        ({"data": {}}, {"type": "page", "items": "rows"}, "no list at 'rows', but nothing"),
        ({"data": {}}, {"type": "page"}, "no list as its whole, but dict"),
        (b"<html>", {"type": "page"}, "is not JSON"),
    ],
)
async def test_pages_that_lead_nowhere(send: Send, answer: Any, rule: dict[str, Any], said: str) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, answer)

    async with serving(handler) as server:
        with pytest.raises(PermanentError, match=said):
            await send(url=server.url(), pagination=rule)
        assert len(server.asked) <= 3


async def test_a_page_that_fails_may_be_tried_again(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        if asked.query["page"] == "2":
            await talk.answer(429, "", {"Retry-After": "3"})
        else:
            await numbered(asked, talk)

    async with serving(handler) as server:
        with pytest.raises(TransientError) as caught:
            await send(url=server.url(), pagination={"type": "page"})
        assert caught.value.retry_after == 3.0
        output = await send(url=server.url(), pagination={"type": "page"}, accept_status=[429])
    assert (output["body"], output["status"], output["has_more"]) == (ITEMS[:10], 429, True)


@pytest.mark.parametrize("rule", [{"type": "page"}, {"type": "offset", "limit": 5}])
async def test_a_404_past_the_end_is_the_end(send: Send, rule: dict[str, Any]) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        start = int(asked.query.get("offset", 5 * (int(asked.query.get("page", 1)) - 1)))
        found = ITEMS[start : start + 5]
        await talk.answer(200 if found else 404, found or {"detail": "Invalid page."})

    async with serving(handler) as server:
        output = await send(url=server.url(), pagination=rule)
    assert (output["body"], output["status"], output["pages"], output["has_more"]) == (ITEMS, 200, 5, False)


async def test_a_404_for_a_page_that_was_announced_is_a_failure(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(404 if asked.query else 200, [1], {"Link": "<?page=2>; rel=next"})

    async with serving(handler) as server:
        with pytest.raises(PermanentError, match="404"):
            await send(url=server.url(), pagination={"type": "link"})
        output = await send(url=server.url(), pagination={"type": "link"}, accept_status=[404])
    assert (output["body"], output["has_more"]) == ([1], True)


@pytest.mark.parametrize(
    "rule", [{"type": "page", "size": 100, "size_param": "n"}, {"type": "offset", "limit": 100, "limit_param": "n"}]
)
@pytest.mark.parametrize("most", [10, 25, 40])
async def test_a_server_that_returns_fewer_than_asked_for_is_read_to_its_end(
    send: Send, rule: dict[str, Any], most: int
) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        start = int(asked.query.get("offset", most * (int(asked.query.get("page", 1)) - 1)))
        await talk.answer(200, ITEMS[start : start + most])

    async with serving(handler) as server:
        output = await send(url=server.url(), pagination=rule)
    assert (output["body"], output["has_more"]) == (ITEMS, False)


async def test_a_server_that_knows_no_pages_is_read_once(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, ITEMS)

    async with serving(handler) as server:
        output = await send(url=server.url(), pagination={"type": "page", "size": 100})
    assert (output["body"], output["has_more"]) == (ITEMS, False)


async def test_more_that_cannot_be_asked_for_is_told(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, {"data": [1], "more": True})

    rule = {"type": "cursor", "items": "data", "cursor": "next", "has_more": "more"}
    async with serving(handler) as server:
        assert (await send(url=server.url(), pagination=rule))["has_more"] is True


async def test_an_empty_page_on_the_way_is_no_end(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        page = int(asked.query.get("page", 1))
        link = {"Link": f"<?page={page + 1}>; rel=next"} if page < 3 else {}
        await talk.answer(204 if page == 2 else 200, b"" if page == 2 else [page], link)

    async with serving(handler) as server:
        output = await send(url=server.url(), pagination={"type": "link"})
    assert (output["body"], output["has_more"]) == ([1, 3], False)


async def test_an_accepted_error_on_the_first_page_is_an_ordinary_answer(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(404, {"error": "none"})

    async with serving(handler) as server:
        output = await send(url=server.url(), pagination={"type": "page"}, accept_status=[404])
    assert (output["body"], output["status"]) == ({"error": "none"}, 404)


async def test_a_next_page_at_a_stranger_gets_no_credentials(send: Send) -> None:
    async with serving(by_link()) as other:

        async def handler(asked: Asked, talk: Talk) -> None:
            await talk.answer(200, [0], {"Link": f"<{other.url('/x?start=20')}>; rel=next"})

        async with serving(handler) as server:
            auth = {"type": "bearer", "token": "hidden"}
            output = await send(url=server.url(), auth=auth, headers={"X-Mine": "1"}, pagination={"type": "link"})
        assert output["body"] == [0, 20, 21, 22, 23, 24]
        assert not {"authorization", "x-mine"} & set(other.asked[0].headers)


async def test_a_next_page_inside_is_refused(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, [0], {"Link": '<http://169.254.169.254/>; rel="next"'})

    async with serving(handler) as server:
        with pytest.raises(PermanentError, match="refused"):
            await send(url=server.url(), pagination={"type": "link"})


NEXT = "https://api.example/list?page=2"


@pytest.mark.parametrize(
    "values",
    [
        [f'<{NEXT}>; rel="next"'],
        [f"<{NEXT}>;rel=next"],
        [f'<{NEXT}>; rel="next last"'],  # several relations
        [f'<{NEXT}>; REL="Last\tNEXT"'],  # any case, any space
        [f'<{NEXT}>; title="a, <b>; rel=\\"prev\\""; rel="next"'],  # quoted rel, commas and brackets
        [f'<x>; title="; rel=next"; rel=prev, <{NEXT}>; rel=next'],
        ["<x>; rel=first", f"<{NEXT}>; rel=next"],  # several headers
        ['<x>; rel="first', f"<{NEXT}>; rel=next"],  # one of them damaged
        [f"<x>; crossorigin; rel=preload, , <{NEXT}> ; rel = next ; rel=prev"],  # no value; the first rel holds
        [f'<x>; rel=next; anchor="/other", <{NEXT}>; rel=next; anchor="?q"'],  # about another page
        [f"<{NEXT}>; title*=UTF-8'de'n%c3%a4chstes; rel=next"],
        [f"<{NEXT}>; rel=next, <y>; rel=next"],
        [f'<x>; rel=prev junk "<z>; rel=next", <{NEXT}>; rel=next'],
    ],
)
def test_link_headers_by_rfc_8288(values: list[str]) -> None:
    assert linked(values, "next", httpx2.URL("https://api.example/list?q")) == NEXT


def test_reading_a_link_header_takes_linear_time() -> None:
    for text in ('<x>; a="' + "\\" * 60_000, "<x>" + "; " * 60_000, "<x>;" + " " * 60_000 + "=", "<x>,<" * 30_000):
        assert linked([text], "next", httpx2.URL("https://api.example/")) is None


@pytest.mark.parametrize("link", ["", ";;;", "<", "<>; rel=next", "rel=next", '<x>; rel="prev"', ",,,", "<x>; rel"])
async def test_link_headers_that_say_nothing(send: Send, link: str) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, [1], {"Link": link})

    async with serving(handler) as server:
        assert (await send(url=server.url(), pagination={"type": "link"}))["body"] == [1]


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "scroll"},
        {"type": "cursor"},
        {"type": "cursor", "cursor": "a", "next_url": "b"},
        {"type": "page", "size": 0},
        {"type": "link", "max_pages": 0},
        {},
    ],
)
async def test_rules_that_cannot_be(send: Send, rule: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="params/pagination"):
        await send(url="http://127.0.0.1/", pagination=rule)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", {"a": {"b": [1, {"c/d": 2}]}, "": 3}),
        ("a.b.0", 1),
        ("a.b.-1", {"c/d": 2}),
        ("/a/b/1/c~1d", 2),
        ("/", 3),
        ("a.x", ABSENT),
        ("a.b.2", ABSENT),
        ("a.b.-3", ABSENT),
        ("a.b.x", ABSENT),
        ("a.b.0.c", ABSENT),
        ("a.b." + "9" * 5000, ABSENT),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    assert find({"a": {"b": [1, {"c/d": 2}]}, "": 3}, path) == expected
