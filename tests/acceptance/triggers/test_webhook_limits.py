"""A webhook has limits of its own: how often it is called, how much it takes of strangers, how often it is shown a
wrong key. What one sender does wrong harms no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.triggers.conftest import LIGHT, SECRETS, Site, hooked
from tests.support.server import running_server

LIMITS = {"AICFLOW_WEBHOOK_RATE": "50/h", "AICFLOW_WEBHOOK_OPEN_RATE": "20/h", "AICFLOW_RATE_WRONG_KEYS": "20/m"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("data"), {**LIGHT, **SECRETS, **LIMITS}) as server:
        site = Site(server)
        yield site
        site.close()


def calls(site: Site, path: str, times: int, address: str = "203.0.113.1", **headers: str) -> Counter[int]:
    found: Counter[int] = Counter()
    for _ in range(times):
        answer = site.web.post(path, json={}, headers={"x-forwarded-for": address, **headers})
        found[answer.status_code] += 1
        if answer.status_code == 429:
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["type"] == "urn:aicflow:problem:rate-limited"
            assert problem["request_id"] == answer.headers["x-request-id"]
            assert int(answer.headers["retry-after"]) >= 1
            assert "ratelimit" in answer.headers
    return found


def test_strangers_share_what_a_webhook_takes_and_none_takes_it_all(site: Site) -> None:
    site.save(hooked("open"))
    assert calls(site, "/open", 60) == {202: 20, 429: 40}
    assert calls(site, "/open", 25, "203.0.113.2") == {202: 20, 429: 5}, "another address has its own"
    assert calls(site, "/open", 20, "203.0.113.3") == {202: 10, 429: 10}, "and all together those of the webhook"


def test_a_webhook_says_its_own_rate(site: Site) -> None:
    auth = {"type": "api_key", "keys": ["${{ secrets.KEY }}"]}
    site.save(hooked("busy", auth=auth, rate="60/h"))
    site.save(hooked("calm", auth=auth, rate="3/h"))
    site.save(hooked("usual", auth=auth))
    key = {"x-api-key": "key-one"}
    assert calls(site, "/calm", 5, **key) == {202: 3, 429: 2}
    assert calls(site, "/busy", 62, **key) == {202: 60, 429: 2}
    assert calls(site, "/usual", 52, **key) == {202: 50, 429: 2}
    refused = site.api.post("/workflows", json=hooked("bad", rate="often"))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/triggers/0/params/rate"


def test_who_guesses_a_webhooks_key_is_stopped_and_who_has_it_is_not(site: Site) -> None:
    site.save(hooked("guarded", auth={"type": "api_key", "keys": ["${{ secrets.KEY }}"]}, rate="off"))
    site.save(hooked("other", auth={"type": "api_key", "keys": ["${{ secrets.KEY }}"]}, rate="off"))
    assert calls(site, "/guarded", 400, "203.0.113.9", **{"x-api-key": "guess"}) == {401: 20, 429: 380}
    assert calls(site, "/guarded", 1, "203.0.113.10", **{"x-api-key": "key-one"}) == {202: 1}
    assert calls(site, "/other", 1, "203.0.113.9", **{"x-api-key": "key-one"}) == {202: 1}, "one key wrong, not all"


def test_bodies_of_strangers_are_small_unless_the_webhook_says(site: Site) -> None:
    site.save(hooked("small"))
    site.save(hooked("large", max_body_bytes=2_000_000))
    site.save(hooked("known", auth={"type": "api_key", "keys": ["${{ secrets.KEY }}"]}))
    megabyte = b'"' + b"x" * 1_000_000 + b'"'
    kind = {"content-type": "application/json", "x-api-key": "key-one"}
    for number in range(60):
        answer = site.web.post("/small", content=megabyte, headers={**kind, "x-forwarded-for": f"203.0.114.{number}"})
        assert answer.status_code == (413 if number < 50 else 429)
    assert site.web.post("/large", content=megabyte, headers=kind).status_code == 202
    assert site.web.post("/known", content=megabyte, headers=kind).status_code == 202
    assert len(site.executions("small")) == 0


def test_a_path_that_is_not_there_is_no_way_around_the_rates(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", {**LIGHT, "AICFLOW_RATE_ADDRESS": "30/h"}) as server:
        site = Site(server)
        assert calls(site, "/none", 40) == {404: 30, 429: 10}
        assert calls(site, "/none", 1, "203.0.113.2") == {404: 1}
        site.close()
