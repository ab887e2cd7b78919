"""How often a client may ask: exact counts, for keys and addresses, told before they are used up."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from aicflow.host.addresses import Proxies, counted
from aicflow.host.keys import new_key
from aicflow.host.rates import MemoryRates
from aicflow.rates import Rate, headers_of
from pydantic import ValidationError

from .conftest import ECHO, Host, problem


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def rates(**more: Any) -> tuple[MemoryRates, Time]:
    time = Time()
    return MemoryRates(time, **more), time


async def taken(store: MemoryRates, rate: Rate, times: int, whose: str = "a") -> int:
    return [(await store.take([(rate, whose)])).refused for _ in range(times)].count(None)


@pytest.mark.parametrize("exact", [False, True])
async def test_a_quota_is_exact_and_comes_back(exact: bool) -> None:
    store, time = rates()
    rate = Rate("key", 10, 60, exact)
    assert await taken(store, rate, 25) == 10
    assert await taken(store, rate, 25, "another") == 10
    refused = (await store.take([(rate, "a")])).refused
    assert refused is not None
    time.now += refused - 0.001
    assert await taken(store, rate, 1) == 0
    time.now += 0.002
    assert await taken(store, rate, 1) == 1, "it may come after the time that was told"
    time.now += 120
    assert await taken(store, rate, 25) == 10


async def test_the_window_before_counts_with_the_part_that_is_still_in_reach() -> None:
    store, time = rates()
    rate = Rate("key", 100, 60)
    assert await taken(store, rate, 100) == 100
    time.now += 60 + 15
    assert await taken(store, rate, 100) == 25, "three quarters of the 100 still count"


async def test_an_exact_rate_holds_for_every_stretch() -> None:
    store, time = rates()
    rate = Rate("wrong-keys", 20, 60, True)
    passed = []
    for _ in range(600):
        time.now += 0.7
        if await taken(store, rate, 1):
            passed.append(time.now)
    assert all(later - first >= 60 for first, later in zip(passed, passed[20:], strict=False))


async def test_what_one_rate_refuses_costs_nothing_elsewhere() -> None:
    store, _ = rates()
    small, large = Rate("key", 5, 60), Rate("address", 100, 60)
    for _ in range(30):
        await store.take([(large, "x"), (small, "a")])
    assert (await store.take([(large, "x")], test=True)).left[0][1] == 95
    assert (await store.take([(large, "y")], test=True)).left[0][1] == 100, "a test takes nothing"


async def test_clients_that_are_gone_are_forgotten() -> None:
    store, time = rates(most=100)
    rate = Rate("address", 5, 60)
    for number in range(90):
        await taken(store, rate, 1, f"old {number}")
    time.now += 200
    for number in range(5000):
        await taken(store, rate, 1, f"new {number}")
        assert len(store._counts) <= 100
    assert await taken(store, rate, 5, "new 4999") == 4


def test_headers_say_policy_and_state() -> None:
    assert headers_of([(Rate("key", 600, 60), 42, 12.3), (Rate("address", 1200, 60), 1000, 59.9)]) == [
        (b"ratelimit-policy", b'"key";q=600;w=60, "address";q=1200;w=60'),
        (b"ratelimit", b'"key";r=42;t=13, "address";r=1000;t=60'),
    ]


@pytest.mark.parametrize("text", ["600", "0/m", "600/", "600/0s", "600/d", "-1/s", "", "off ", "6e3/m", "٦/m"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate such as 600/m"):
        Rate.parse("key", text)


def test_rates_as_text() -> None:
    assert Rate.parse("key", "600/m") == Rate("key", 600, 60)
    assert Rate.parse("key", "20/10s", exact=True) == Rate("key", 20, 10, True)
    assert Rate.parse("key", "off") is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # not a proxy of ours
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),  # what the client wrote itself stands left
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::1", "203.0.113.9", "203.0.113.9"),
        (None, "203.0.113.9", None),
    ],
)
def test_the_client_behind_proxies(peer: str | None, forwarded: str, client: str | None) -> None:
    assert Proxies(("10.0.0.0/8", "::1")).client(peer, forwarded) == client


def test_whose_requests_are_counted_together() -> None:
    assert counted("203.0.113.9") == "203.0.113.9"
    assert counted("2001:db8::1") == counted("2001:db8::ffff:0:1") == "2001:db8::/64"
    assert counted("2001:db8:0:1::1") != counted("2001:db8::1")


def test_a_client_is_told_before_and_refused_after(new_host: Any) -> None:
    with new_host(rate_key="6/m", rate_address="100/m") as host:
        host: Host
        key = host.client.post("/api-keys", json={"name": "x", "scopes": ["read"]}).json()["key"]
        with host.bare(authorization=f"Bearer {key}") as client:
            for left in (5, 4, 3, 2, 1, 0):
                answer = client.get("/workflows")
                assert answer.status_code == 200
                assert answer.headers["ratelimit-policy"] == '"key";q=6;w=60, "address";q=100;w=60'
                assert answer.headers["ratelimit"].startswith(f'"key";r={left};t=')
            answer = client.get("/workflows")
            told = problem(answer, 429, "rate-limited")
            assert told["detail"] == "At most 6 requests with one API key in 60 s."
            assert 1 <= int(answer.headers["retry-after"]) <= 120
            assert answer.headers.get_list("ratelimit-policy") == ['"key";q=6;w=60, "address";q=100;w=60']
        assert host.client.get("/workflows").status_code == 200, "another key has its own"


def test_an_address_is_that_of_the_client_behind_the_proxy(new_host: Any) -> None:
    with new_host(rate_address="3/m") as host:

        def asks(forwarded: str) -> list[int]:
            headers = {"authorization": f"Bearer {host.key}", "x-forwarded-for": forwarded}
            with host.bare(**headers) as client:
                return [client.get("/workflows").status_code for _ in range(5)]

        assert asks("203.0.113.9") == [200] * 3 + [429] * 2
        assert asks("2001:db8::1") == [200] * 3 + [429] * 2
        assert asks("2001:db8::2") == [429] * 5, "one network of 64 bits is one client"
        assert asks("2001:db8:1::2")[0] == 200
    with new_host(rate_address="3/m", proxies=("10.0.0.1",)) as host:
        headers = {"authorization": f"Bearer {host.key}"}
        statuses = []
        for number in range(5):
            with host.bare(**headers, **{"x-forwarded-for": f"203.0.113.{number}"}) as client:
                statuses.append(client.get("/workflows").status_code)
        assert statuses == [200] * 3 + [429] * 2, "who is no proxy of ours may say what they like"


def test_wrong_keys_are_refused_before_anything_is_looked_up(new_host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_host(rate_wrong_keys="20/m") as host:
        assert host.client.get("/workflows").status_code == 200
        hashed: list[str] = []
        ring = host.runtime.keys
        real = ring.hash
        monkeypatch.setattr(ring, "hash", lambda key: hashed.append(key) or real(key))
        statuses = []
        for _ in range(400):
            with host.bare(authorization=f"Bearer {new_key()}") as client:
                statuses.append(client.get("/workflows").status_code)
        assert statuses == [401] * 20 + [429] * 380
        assert len(hashed) == 20
        assert host.client.get("/workflows").status_code == 200, "who has a key is not locked out by who guesses"
        with host.bare(authorization=f"Bearer {new_key()}", **{"x-forwarded-for": "203.0.113.9"}) as client:
            assert client.get("/workflows").status_code == 401, "another address has its own twenty"


def test_readiness_tells_nothing_to_who_guesses(new_host: Any) -> None:
    with new_host(rate_wrong_keys="3/m") as host:
        for _ in range(5):
            with host.bare(authorization=f"Bearer {new_key()}") as client:
                assert client.get(f"{host.url}/readyz").status_code in (200, 429)
        with host.bare(authorization=f"Bearer {new_key()}") as client:
            assert client.get("/workflows").status_code == 429
            assert client.get(f"{host.url}/livez").status_code == 200


def test_settings_that_are_no_rates_or_addresses(new_host: Any) -> None:
    for bad in ({"rate_key": "often"}, {"proxies": ("10.0.0.0/40",)}, {"proxies": ("proxy.local",)}):
        with pytest.raises(ValidationError), new_host(**bad):
            pass


@pytest.mark.slow
def test_limits_are_exact_under_twenty_thousand_mixed_requests(new_host: Any) -> None:
    """Four clients with a key and an address each, all at once: reading, starting, asking wrongly, with wrong keys."""
    quotas = {"rate_key": "1500/h", "rate_address": "2000/h", "rate_wrong_keys": "20/h"}
    with new_host(**quotas, store="memory://") as host:
        host.save(ECHO, id="echo")
        keys = [
            host.client.post("/api-keys", json={"name": f"c{n}", "scopes": ["read", "execute"]}).json()["key"]
            for n in range(4)
        ]
        outcomes: list[Counter[tuple[str, int]]] = [Counter() for _ in keys]

        def client(number: int) -> None:
            place = urlsplit(host.url)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            forwarded = {"x-forwarded-for": f"203.0.113.{number}"}
            good = {"authorization": f"Bearer {keys[number]}", "content-type": "application/json", **forwarded}
            wrong = {**good, "authorization": f"Bearer {new_key()}"}
            kinds = [
                ("good", "GET", "/api/v1/workflows/echo", None, good),
                ("good", "POST", "/api/v1/executions", b'{"workflow_id": "echo", "input": 1}', good),
                ("good", "GET", "/api/v1/executions/none", None, good),
                ("good", "POST", "/api/v1/executions", b"{", good),
                ("good", "DELETE", "/api/v1/workflows/echo", None, good),  # forbidden
                ("wrong", "GET", "/api/v1/workflows", None, wrong),
                ("none", "GET", "/api/v1/workflows", None, forwarded),
                ("good", "PUT", "/api/v1/nothing/here", b"", good),
            ]
            for step in range(5000):
                kind, method, path, body, headers = kinds[step % len(kinds)]
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                answer.read()
                outcomes[number][kind, answer.status] += 1
            connection.close()

        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for outcome in outcomes:
            assert sum(outcome.values()) == 5000
            passed = {
                kind: sum(n for (one, s), n in outcome.items() if one == kind and s != 429) for kind, _ in outcome
            }
            assert passed["wrong"] == 20, outcome
            assert passed["good"] == 1500, "the key's quota, all of it"
            assert sum(passed.values()) == 2000, "the address's quota, all of it, and no refused request took any"
            assert not any(status >= 500 for _, status in outcome)
            assert outcome["wrong", 401] == 20
