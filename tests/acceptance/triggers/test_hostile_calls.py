"""Whatever is thrown at a webhook is answered with a 2xx or a 4xx, never with a 500, and what is not let in starts
nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow.host.app import create_app
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.triggers.conftest import STANDARD, Site, hooked

EXAMPLES = int(os.environ.get("AICFLOW_TEST_CALLS", "300"))
AUTHS: dict[str, dict[str, Any]] = {
    "open": {"type": "none"},
    "standard": {"type": "hmac", "preset": "standard-webhooks", "secrets": [STANDARD]},
    "github": {"type": "hmac", "preset": "github", "secrets": ["s"]},
    "stripe": {"type": "hmac", "preset": "stripe", "secrets": ["s"]},
    "slack": {"type": "hmac", "preset": "slack", "secrets": ["s"]},
    "plain": {"type": "hmac", "preset": "plain", "secrets": ["s"], "encoding": "base64"},
    "basic": {"type": "basic", "username": "u", "passwords": ["p"]},
    "key": {"type": "api_key", "keys": ["k"]},
}


class App:
    """The whole host in this process, called without a socket: any bytes can be sent."""

    def __init__(self, data: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.app = create_app(
            Settings(data_dir=data, store="memory://", engine="native"), plugins=installed_plugins(["agent", "http"])
        )
        self.lifespan = self.app.router.lifespan_context(self.app)
        self.loop.run_until_complete(self.lifespan.__aenter__())
        for name, auth in AUTHS.items():
            document = hooked(f"{name}/{{part}}", auth=auth, delivery_header="X-Id", max_body_bytes=2_000)
            self.loop.run_until_complete(self.app.state.runtime.workflows.create(document, workflow_id=f"wf_{name}"))

    def close(self) -> None:
        self.loop.run_until_complete(self.lifespan.__aexit__(None, None, None))
        self.loop.close()

    def call(
        self, method: str, path: bytes, headers: list[tuple[bytes, bytes]], chunks: list[bytes], query: bytes = b""
    ) -> tuple[int, bytes]:
        return self.loop.run_until_complete(self._call(method, path, headers, chunks, query))

    async def _call(
        self, method: str, path: bytes, headers: list[tuple[bytes, bytes]], chunks: list[bytes], query: bytes
    ) -> tuple[int, bytes]:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path.decode("utf-8", "replace"), "raw_path": path, "root_path": "", "query_string": query,
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        left = list(chunks)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not left:
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.request", "body": left.pop(0), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    found = App(tmp_path_factory.mktemp("data"))
    yield found
    found.close()


ODD = st.sampled_from(
    [b"", b"\xff\xfe", b"\x00", b"a" * 9_000, b"t=1,v1=zz", b"v1,", b"v0=", b"sha256=", b"\xe2\x98\x83", b"-1",
     b"99999999999", "١٢٣".encode(), b"Basic Og==", b"Basic dTpw", b"Bearer", b"k", b"multipart/form-data; boundary=",
     b"multipart/form-data; boundary=x; charset=\xff", b"application/json; charset=utf-7", b"gzip", b"br",
     b"gzip, gzip",
     b'application/json; charset="', b"text/plain; charset=rot13", b"text/plain; charset=undefined", b"x/y; a*=u''%ff"]
)  # fmt: skip
NAMES = st.sampled_from(
    [b"content-type", b"content-encoding", b"content-length", b"authorization", b"x-api-key", b"webhook-id", b"x-id",
     b"webhook-timestamp", b"webhook-signature", b"x-hub-signature-256", b"stripe-signature", b"x-slack-signature",
     b"x-slack-request-timestamp", b"x-signature", b"x-github-delivery", b"x-request-id", b"expect", b"x-odd"]
)  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, st.one_of(ODD, st.binary(max_size=60))), max_size=8)
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="a"; filename="\xff"\r\n\r\n1\r\n--x--\r\n'
BODIES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [b"", b"{", b"[" * 1_900, b'{"a":1,"a":2}', b"NaN", b"1e999", b"9" * 1_000, b'"\\ud800"', b"\xff",
         b"\xef\xbb\xbf1", b"%ff=%ff&&&=", b"&" * 1_500, MULTIPART, MULTIPART[:-9], b"null",
         gzip.compress(b"0" * 1_500_000), gzip.compress(b'{"a": 1}'), gzip.compress(b"1")[:-4],
         gzip.compress(b"0" * 10_000_000)[:1_990],
         zlib.compress(b"1") + b"x", b"x" * 2_001, b'{"id": 1, "event_id": []}']
    ),
)  # fmt: skip
PATHS = st.one_of(
    st.sampled_from(
        [b"/x", b"/x/", b"//", b"/%zz", b"/%ff", b"/%00", b"/%2e%2e", b"/..", b"/\xff", b"/x/y", b"", b"/%2F"]
    ),
    st.binary(max_size=20).map(lambda part: b"/" + part.replace(b"?", b"")),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(AUTHS)),
    path=PATHS,
    headers=HEADERS,
    body=BODIES,
    cut=st.integers(0, 3),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "BREW"]),
    query=st.one_of(st.just(b""), st.binary(max_size=40), st.just(b"a=" * 9_000)),
)
def test_no_call_is_answered_with_a_500(
    app: App, name: str, path: bytes, headers: Any, body: bytes, cut: int, method: str, query: bytes
) -> None:
    parts = [body[at::cut] for at in range(cut)] if cut else [body]
    status, said = app.call(method, f"/hooks/{name}".encode() + path, headers, parts, query)
    assert 200 <= status < 500, (status, said)
    if status >= 400:
        assert json.loads(said)["status"] == status


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(headers=HEADERS, body=BODIES)
def test_bodies_that_are_let_in_can_be_kept_and_read_again(app: App, headers: Any, body: bytes) -> None:
    runtime = app.app.state.runtime
    status, said = app.call("POST", b"/hooks/open/x", headers, [body])
    if status in (200, 202):
        execution_id = json.loads(said)["execution_id"]
        execution = app.loop.run_until_complete(runtime.executions.wait(execution_id, 20))
        assert execution.status == "succeeded", execution.error


def test_nothing_gets_past_a_signature_by_being_odd(app: App) -> None:
    runtime = app.app.state.runtime
    for name in ("standard", "github", "stripe", "slack", "plain"):
        assert runtime.store is not None
        page = app.loop.run_until_complete(runtime.store.triggers.deliveries(f"wf_{name}:hook", limit=1))
        assert list(page.items) == []


def test_headers_and_queries_beyond_reason_are_refused_by_the_real_server(site: Site) -> None:
    site.save(hooked("large", max_body_bytes=1_000))
    assert site.web.post("/large", headers={"x-large": "x" * 30_000}).status_code == 202
    assert site.web.post("/large", headers={"x-large": "x" * 70_000}).status_code == 431
    assert site.web.post("/large", params={"q": "x" * 20_000}).status_code == 414
    assert site.web.post("/large", content=b"x" * 1_001).status_code == 413
    bomb = gzip.compress(b"0" * 50_000_000)[:]
    assert site.web.post("/large", content=bomb, headers={"content-encoding": "gzip"}).status_code == 413
    small_bomb = gzip.compress(b"0" * 100_000)
    assert len(small_bomb) < 1_000
    assert site.web.post("/large", content=small_bomb, headers={"content-encoding": "gzip"}).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    assert site.web.post("/large", content=chunks()).status_code == 413
    assert httpx2.post(f"{site.server.url}/hooks/large").status_code == 202, "and it goes on"
