"""Senders sign the way that they do; a secret is changed without a gap; who cannot show it is turned away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from tests.acceptance.triggers.conftest import SECRETS, STANDARD, Site, hooked

BODY = json.dumps({"id": "evt_1", "event_id": "Ev1", "text": "héllo ☃"}, ensure_ascii=False).encode()


def digest(secret: str, message: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(SECRETS[f"AICFLOW_SECRET_{secret}"].encode(), message, algorithm).hexdigest()


def standard(body: bytes, at: float) -> dict[str, str]:
    moment = datetime.fromtimestamp(int(at), UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(STANDARD).sign("msg_1", moment, body.decode()),
    }


def standard_old(body: bytes, at: float) -> dict[str, str]:
    moment = datetime.fromtimestamp(int(at), UTC)
    old = Webhook(SECRETS["AICFLOW_SECRET_STANDARD_OLD"])
    signature = f"{old.sign('msg_2', moment, body.decode())} v2,unknown"
    return {"webhook-id": "msg_2", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def github(body: bytes, at: float) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={digest('GITHUB', body)}", "x-github-delivery": "72d3162e"}


def stripe(body: bytes, at: float) -> dict[str, str]:
    signature = digest("STRIPE", b"%d." % at + body)
    return {"stripe-signature": f"t={int(at)},v0=unused,v1={'0' * 64},v1={signature}"}


def slack(body: bytes, at: float) -> dict[str, str]:
    return {
        "x-slack-request-timestamp": str(int(at)),
        "x-slack-signature": f"v0={digest('SLACK', b'v0:%d:' % at + body)}",
    }


def plain(body: bytes, at: float) -> dict[str, str]:
    key = SECRETS["AICFLOW_SECRET_PLAIN"].encode()
    return {"x-check": "mac " + base64.b64encode(hmac.new(key, body, hashlib.sha512).digest()).decode(), "x-id": "p-1"}


type Sender = Callable[[bytes, float], dict[str, str]]
SENDERS: dict[str, tuple[Sender, dict[str, Any], str, bool]] = {
    "standard": (
        standard,
        {"preset": "standard-webhooks", "secrets": ["${{ secrets.STANDARD }}", "${{ secrets.STANDARD_OLD }}"]},
        "msg_1",
        True,
    ),
    "standard-old": (
        standard_old,
        {"preset": "standard-webhooks", "secrets": ["${{ secrets.STANDARD }}", "${{ secrets.STANDARD_OLD }}"]},
        "msg_2",
        True,
    ),
    "github": (github, {"preset": "github", "secrets": ["${{ secrets.GITHUB }}"]}, "72d3162e", False),
    "stripe": (stripe, {"preset": "stripe", "secrets": ["${{ secrets.STRIPE }}"]}, "evt_1", True),
    "slack": (slack, {"preset": "slack", "secrets": ["${{ secrets.SLACK }}"]}, "Ev1", True),
    "plain": (
        plain,
        {
            "preset": "plain", "secrets": ["${{ secrets.PLAIN }}"], "header": "X-Check", "algorithm": "sha512",
            "encoding": "base64", "prefix": "mac ", "delivery_header": "X-Id",
        },
        "p-1",
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SENDERS)
def test_a_signed_delivery_is_taken_once_and_a_forged_one_never(site: Site, name: str) -> None:
    sender, auth, delivery_id, timed = SENDERS[name]
    workflow = site.save(hooked(f"signed/{name}", auth={"type": "hmac", **auth}))
    path, headers = f"/signed/{name}", {"content-type": "application/json"}
    now = time.time()

    first = site.web.post(path, content=BODY, headers=headers | sender(BODY, now))
    assert first.status_code == 202, first.text
    execution = site.ended(first.json()["execution_id"])
    assert execution["output"]["body"]["text"] == "héllo ☃"
    assert execution["output"]["delivery_id"] == delivery_id
    assert execution["trigger"]["key"] == (delivery_id if timed else f"sha256:{hashlib.sha256(BODY).hexdigest()}")

    again = site.web.post(path, content=BODY, headers=headers | sender(BODY, now + 1))
    assert (again.status_code, again.json()) == (200, {"execution_id": execution["id"], "duplicate": True})

    # the id that github and plain put into a header is not signed: a captured delivery does not pass as another
    for header in ({"x-github-delivery": "another"}, {"x-id": "another"}) if not timed else ():
        captured = site.web.post(path, content=BODY, headers=headers | sender(BODY, now) | header)
        assert (captured.status_code, captured.json()["execution_id"]) == (200, execution["id"])

    forged = [
        ({**headers, **sender(BODY, now)}, BODY.replace(b"evt_1", b"evt_2")),
        ({**headers, **sender(BODY + b" ", now)}, BODY),
        (headers, BODY),
        ({**headers, **dict.fromkeys(sender(BODY, now), "")}, BODY),
        ({**headers, **{key: value[:-3] + "..." for key, value in sender(BODY, now).items()}}, BODY),
        ({**headers, **dict.fromkeys(sender(BODY, now), "ÿþ" * 40)}, BODY),
    ]
    if timed:
        forged += [({**headers, **sender(BODY, now + off)}, BODY) for off in (-301, 330)]
    for given, body in forged:
        answer = site.web.post(path, content=body, headers={k: v.encode("latin-1") for k, v in given.items()})
        assert answer.status_code == 401, (given, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        for secret in SECRETS.values():
            assert secret not in answer.text
    assert len(site.executions(workflow)) == 1
    assert len(site.deliveries(f"{workflow}:hook")) == 1, "what is not let in is not kept"
    shown = site.api.get(f"/triggers/{workflow}:hook").text
    assert not any(secret in shown for secret in SECRETS.values())


def test_a_key_in_a_header_of_ones_own(site: Site) -> None:
    keys = [f"other-{number}" for number in range(8)]
    auth = {"type": "api_key", "header": "Authorization", "prefix": "Token ", "keys": ["${{ secrets.KEY }}", *keys]}
    site.save(hooked("keyed", auth=auth))
    for key in ("key-one", "other-0", "other-7"):
        taken = site.web.post("/keyed", json=1, headers={"authorization": f"token {key}"})
        assert taken.status_code == 202
        payload = site.ended(taken.json()["execution_id"])["trigger"]["payload"]
        assert "authorization" not in payload["headers"]
    for value in ("Token key-two", "key-one", "Token", "Bearer key-one", "Token key-one2"):
        answer = site.web.post("/keyed", json=1, headers={"authorization": value})
        assert answer.status_code == 401, value


def test_basic_authentication_asks_back(site: Site) -> None:
    auth = {"type": "basic", "username": "søren", "passwords": ["${{ secrets.PASSWORD }}"]}
    site.save(hooked("basic", auth=auth))
    good = base64.b64encode("søren:päss:word".encode()).decode()
    assert site.web.post("/basic", headers={"authorization": f"Basic {good}"}).status_code == 202
    for value in ("Basic", "Basic !!", f"Digest {good}", "Basic " + base64.b64encode(b"\xff:\xff").decode()):
        answer = site.web.post("/basic", headers={"authorization": value})
        assert answer.status_code == 401, value
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_nothing_is_read_of_who_shows_no_key_or_sends_too_much(site: Site) -> None:
    site.save(hooked("unread", auth={"type": "api_key", "keys": ["${{ secrets.KEY }}"]}, max_body_bytes=100))
    address = httpx2.URL(site.server.url)
    for headers, expected in (
        ("content-length: 90", b"401"),
        ("x-api-key: key-one\r\ncontent-length: 90000", b"413"),
        ("x-api-key: key-one\r\ncontent-length: 3", b"100"),
    ):
        with socket.create_connection((address.host, address.port), timeout=10) as connection:
            lines = f"POST /hooks/unread HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{headers}\r\n\r\n"
            connection.sendall(lines.encode())
            assert connection.recv(12) == b"HTTP/1.1 " + expected


def test_what_is_signed_tells_deliveries_apart_and_equal_bodies_only_where_that_is_wanted(site: Site) -> None:
    sender, auth, _, _ = SENDERS["plain"]
    site.save(hooked("signed/repeats", auth={"type": "hmac", **auth, "repeats": True}))
    site.save(hooked("signed/no-id", auth={"type": "hmac", **auth, "delivery_header": None}))
    now = time.time()
    for path, header, expected in (
        ("/signed/repeats", {"x-id": "one"}, 202),
        ("/signed/repeats", {"x-id": "two"}, 202),
        ("/signed/repeats", {"x-id": "two"}, 200),
        ("/signed/no-id", {}, 202),
        ("/signed/no-id", {}, 202),
    ):
        assert site.web.post(path, content=BODY, headers=sender(BODY, now) | header).status_code == expected, path

    # an id of another header, which is not signed, does not stand for the one that is
    secrets = ["${{ secrets.STANDARD }}"]
    signed = {"type": "hmac", "preset": "standard-webhooks", "secrets": secrets}
    site.save(hooked("signed/two-ids", auth=signed, delivery_header="X-Other"))
    for header, expected in (("one", 202), ("two", 200)):
        sent = site.web.post("/signed/two-ids", content=BODY, headers=standard(BODY, now) | {"x-other": header})
        assert sent.status_code == expected
