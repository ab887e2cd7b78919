"""A browser signs in with a key or a one-use ticket and has a cookie in place of it, which no other page can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .conftest import ECHO, Host, problem, run_host

PATH = "/api/v1/session"


@pytest.fixture
def host(new_host: Callable[..., Any]) -> Iterator[Host]:
    with new_host() as running:
        yield running


class Browser:
    """What a browser sends by itself for a page of an origin, the host's own unless given."""

    all: ClassVar[list[Browser]] = []

    def __init__(self, host: Host, *, origin: str | None = None, site: str = "same-origin") -> None:
        self.host = host
        self.origin = host.url if origin is None else origin
        self.site = site
        self.client = httpx2.Client(timeout=20)
        self.all.append(self)

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"sec-fetch-site": self.site, **more.pop("headers", {})}
        if method not in ("GET", "HEAD"):
            headers["origin"] = self.origin
        return self.client.request(method, self.host.url + path, headers=headers, **more)

    def sign_in(self, credential: str) -> httpx2.Response:
        return self.ask("POST", PATH, headers={"authorization": f"Bearer {credential}"})

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    def stream(self, **headers: str) -> ClientConnection:
        url = self.host.url.replace("http", "ws", 1) + "/api/v1/executions/stream"
        return connect(url, additional_headers={"cookie": self.cookie, "origin": self.origin, **headers})


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while Browser.all:
        Browser.all.pop().client.close()


@pytest.fixture
def browser(host: Host) -> Browser:
    return Browser(host)


def new_key(host: Host, **more: Any) -> tuple[str, str]:
    made = host.client.post("/api-keys", json={"name": "ann", "scopes": ["read", "write", "execute"], **more}).json()
    return made["id"], made["key"]


def test_a_key_becomes_a_cookie_that_scripts_cannot_read(host: Host, browser: Browser) -> None:
    key_id, key = new_key(host)
    answer = browser.sign_in(key)
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["id"], shown["name"], shown["session"]) == (key_id, "ann", True)
    cookie = answer.headers["set-cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Strict" in cookie
    assert "; Path=/;" in cookie
    assert 43_000 < int(cookie.partition("Max-Age=")[2].partition(";")[0]) <= 43_200
    assert "Secure" not in cookie, "the server speaks plain HTTP"
    assert key not in cookie
    assert browser.ask("GET", PATH).json() == shown
    assert browser.ask("POST", "/api/v1/workflows?id=mine", json=ECHO).status_code == 201
    assert host.client.get("/session").json()["session"] is False, "a key of its own says who it is, too"


def test_behind_a_proxy_that_speaks_https_the_cookie_is_secure(new_host: Callable[..., Any]) -> None:
    with new_host(proxies="127.0.0.1") as host:
        key = {"authorization": f"Bearer {host.key}", "x-forwarded-proto": "https"}
        cookie = httpx2.post(host.url + PATH, headers=key).headers["set-cookie"]
        assert "; Secure" in cookie
        page = {"cookie": cookie.partition(";")[0], "x-forwarded-proto": "https"}
        for scheme, status in (("http", 403), ("https", 204)):  # a page by HTTP is anybody's on the way to it
            origin = host.url.replace("http", scheme, 1)
            assert httpx2.delete(host.url + PATH, headers=page | {"origin": origin}).status_code == status


def test_a_sign_in_ticket_counts_once_and_only_for_that(host: Host, browser: Browser) -> None:
    ticket = host.client.post("/tickets?use=session").json()["ticket"]
    stream = host.client.post("/tickets").json()["ticket"]
    problem(browser.sign_in(stream), 401, "unauthorized")  # what pages are given for a stream is not worth a session
    problem(httpx2.get(f"{host.url}/api/v1/executions/stream?ticket={ticket}"), 401, "unauthorized")
    ticket = host.client.post("/tickets?use=session").json()["ticket"]
    for method, path in (("GET", PATH), ("DELETE", PATH), ("GET", "/api/v1/workflows")):
        problem(browser.ask(method, path, headers={"authorization": f"Bearer {ticket}"}), 401, "unauthorized")
    assert browser.sign_in(ticket).status_code == 201
    problem(browser.sign_in(ticket), 401, "unauthorized")
    assert browser.ask("GET", PATH).json()["name"] == "admin"


FOREIGN = [
    ("http://[", "same-origin"),
    ("http://127.0.0.1:1", "same-site"),  # another port of the same host, which SameSite=Strict lets pass
    ("https://evil.example", "cross-site"),
    ("null", "cross-site"),
]


@pytest.mark.parametrize(("origin", "site"), FOREIGN)
def test_pages_of_other_origins_change_nothing_and_follow_nothing(host: Host, origin: str, site: str) -> None:
    own = Browser(host)
    assert own.sign_in(host.key).status_code == 201
    page = Browser(host, origin=origin, site=site)
    page.client.cookies = own.client.cookies
    for method, path in (
        ("POST", "/api/v1/workflows"), ("PUT", "/api/v1/workflows/a/layout"), ("DELETE", PATH),
        ("PATCH", "/api/v1/workflows/a"), ("POST", PATH),
    ):  # fmt: skip
        problem(page.ask(method, path, json=ECHO), 403, "forbidden")
    with pytest.raises(InvalidStatus) as refused:
        page.stream()
    assert refused.value.response.status_code == 403
    assert host.client.get("/workflows").json()["data"] == []


def test_a_cookie_alone_is_no_sign_of_a_page_of_this_host(host: Host, browser: Browser) -> None:
    browser.sign_in(host.key)
    cookie = {"cookie": browser.cookie}
    problem(httpx2.post(host.url + "/api/v1/workflows", headers=cookie, json=ECHO), 403, "forbidden")
    url = host.url.replace("http", "ws", 1) + "/api/v1/executions/stream"
    with pytest.raises(InvalidStatus):
        connect(url, additional_headers=cookie)
    assert httpx2.get(host.url + "/api/v1/workflows", headers=cookie).status_code == 200, "reading changes nothing"
    same = cookie | {"sec-fetch-site": "same-origin"}
    assert httpx2.post(host.url + "/api/v1/workflows", headers=same, json=ECHO).status_code == 201
    lying = same | {"origin": "https://evil.example"}
    problem(httpx2.post(host.url + "/api/v1/workflows", headers=lying, json=ECHO), 403, "forbidden")


def test_allowed_origins_are_not_allowed_to_use_the_cookie(new_host: Callable[..., Any]) -> None:
    with new_host(cors_origins=["https://shop.example"]) as host:
        own = Browser(host)
        own.sign_in(host.key)
        page = Browser(host, origin="https://shop.example", site="cross-site")
        page.client.cookies = own.client.cookies
        answer = page.ask("POST", "/api/v1/workflows", json=ECHO)
        problem(answer, 403, "forbidden")
        assert "access-control-allow-credentials" not in answer.headers


def closed(stream: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as ended:
        list(iter(lambda: stream.recv(timeout=20), None))
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code


def test_revoking_the_key_ends_its_sessions_and_their_streams(host: Host, browser: Browser) -> None:
    key_id, key = new_key(host)
    browser.sign_in(key)
    with browser.stream() as stream:
        host.client.delete(f"/api-keys/{key_id}")
        problem(browser.ask("GET", PATH), 401, "unauthorized")
        assert closed(stream) == 1008


def test_signing_out_ends_one_session_for_good(host: Host, browser: Browser) -> None:
    _, key = new_key(host)
    other = Browser(host)
    browser.sign_in(key)
    other.sign_in(key)
    cookie = browser.cookie
    with browser.stream() as stream:
        answer = browser.ask("DELETE", PATH)
        assert answer.status_code == 204
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert closed(stream) == 1008
    problem(httpx2.get(host.url + PATH, headers={"cookie": cookie}), 401, "unauthorized")
    told = [one["action"] for one in host.client.get("/audit?target=session").json()["data"]][:4]
    assert told == ["GET session", "delete_session", "create_session", "create_session"], "a refused one, too"
    assert other.ask("GET", PATH).status_code == 200
    assert httpx2.get(host.url + PATH, headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_a_session_ends_with_its_key_and_is_renewed_no_further(host: Host, browser: Browser) -> None:
    soon = "2999-01-01T00:00:00Z"
    _, key = new_key(host, expires_at=soon)
    assert browser.sign_in(key).json()["expires_at"] < soon
    first = browser.ask("GET", PATH).json()["expires_at"]
    assert browser.ask("POST", PATH).json()["expires_at"] == first, "a session opens no longer one"


def test_a_limited_key_makes_a_limited_session(host: Host, browser: Browser) -> None:
    host.save(ECHO, id="mine")
    host.save(ECHO, id="theirs")
    _, key = new_key(host, workflows=["mine"])
    assert browser.sign_in(key).json()["limited"] is True
    assert [one["id"] for one in browser.ask("GET", "/api/v1/workflows").json()["data"]] == ["mine"]
    problem(browser.ask("GET", "/api/v1/workflows/theirs"), 404, "not-found")
    problem(browser.ask("GET", "/api/v1/api-keys"), 403, "forbidden")


def test_a_session_outlives_the_server(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        browser = Browser(host)
        browser.sign_in(host.key)
        cookie = browser.cookie
    with new_host() as host:
        assert httpx2.get(host.url + PATH, headers={"cookie": cookie}).json()["name"] == "admin"


def test_two_installations_have_cookies_of_different_names(tmp_path: Path) -> None:
    names = set()
    for number in range(2):
        with run_host(tmp_path / str(number)) as host:
            browser = Browser(host)
            browser.sign_in(host.key)
            names |= set(browser.client.cookies)
    assert len(names) == 2, "cookies do not tell ports apart"


def test_a_layout_is_kept_beside_the_workflow_and_goes_with_it(host: Host) -> None:
    host.save({**ECHO, "triggers": [{"id": "bell", "type": "test.bell"}]}, id="wf")
    revision = host.client.get("/workflows/wf").headers["etag"]
    first = host.client.get("/workflows/wf/layout")
    assert first.json() == {"layout": None}
    drawn = {"say": {"x": 1.5, "y": -2}}
    kept = host.client.put("/workflows/wf/layout", json={"layout": drawn}, headers={"if-match": first.headers["etag"]})
    assert kept.json() == host.client.get("/workflows/wf/layout").json() == {"layout": drawn}
    late = host.client.put("/workflows/wf/layout", json={"layout": 1}, headers={"if-match": first.headers["etag"]})
    problem(late, 412, "revision-mismatch")
    assert host.client.get("/workflows/wf").headers["etag"] == revision, "it makes no version"
    assert [one["id"] for one in host.client.get("/triggers").json()["data"]] == ["wf:bell"], "and is no trigger"
    problem(host.client.put("/workflows/wf/layout", json={"layout": "x" * 300_000}), 422, "request-invalid")
    problem(host.client.put("/workflows/none/layout", json={"layout": 1}), 404, "not-found")
    host.client.delete("/workflows/wf", headers={"if-match": revision})
    host.save(ECHO, id="wf")
    assert host.client.get("/workflows/wf/layout").json() == {"layout": None}
