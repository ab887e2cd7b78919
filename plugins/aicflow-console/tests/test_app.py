"""What the server sends under /console, and what leads there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from aicflow_console.app import POLICY, built_files, console_app
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[Mount("/console", console_app())]), follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "base"),
    [("/console/", "./"), ("/console/workflows", "./"), ("/console/workflows/a", "../"), ("/console/a/b/c", "../../")],
)
def test_every_address_is_the_same_page_with_its_files_above(client: TestClient, path: str, base: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert f'<base href="{base}"' in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == POLICY
    assert client.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_assets_are_kept_for_good_and_compressed(client: TestClient) -> None:
    for path in [path for path in built_files() if path.startswith("assets/")]:
        answer = client.get(f"/console/{path}", headers={"accept-encoding": "gzip"})
        assert "immutable" in answer.headers["cache-control"]
        assert answer.content == built_files()[path].data
        if path.endswith((".js", ".css")):
            assert answer.headers["content-encoding"] == "gzip"
    missing = client.get("/console/assets/none.js")
    assert missing.status_code == 404, "an old page asks for an old file: it must not be given a page"
    assert client.post("/console/").status_code == 405


def test_the_policy_allows_no_inline_script_and_the_page_has_none() -> None:
    page = built_files()["index.html"].data.decode()
    assert "script-src 'self';" in POLICY
    assert "unsafe-eval" not in POLICY
    assert page.count("<script") == page.count('<script type="module" crossorigin src=')


def test_what_is_loaded_first_is_small() -> None:
    page = built_files()["index.html"].data.decode()
    first = [file for path, file in built_files().items() if path in page or path == "index.html"]
    assert len(first) >= 3
    assert sum(len(file.compressed) for file in first) < 250_000


def test_a_browser_at_the_root_is_led_to_the_console(server: object) -> None:
    url = server.url  # type: ignore[attr-defined]
    answer = httpx2.get(url, headers={"accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "console/")
    assert httpx2.get(url).json()["console"] == "/console"
    sent_on = httpx2.get(f"{url}/console", follow_redirects=False)
    assert (sent_on.status_code, sent_on.headers["location"]) == (307, "console/")
    page = httpx2.get(f"{url}/console/")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-security-policy"] == POLICY
