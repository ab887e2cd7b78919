"""Tokens of trusted issuers beside API keys: what counts, what is refused, and how the issuer's keys are had."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from aicflow.host import jwks
from aicflow.host.issuers import read_issuers
from aicflow.host.jwks import Jwks
from aicflow.host.problems import Problem
from aicflow.kernel.errors import AICFlowError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .conftest import ECHO, GATE, Host, problem, run_host

LOGIN, SHARED, FILED = "https://login.example.com/", "https://shared.example.com", "https://filed.example.com"
NARROW = "https://narrow.example.com"
SECRET = "s" * 40


def _rsa(size: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


KEYS: dict[str, Any] = {
    "rsa": _rsa(),
    "other": _rsa(),
    "short": _rsa(1024),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
}
_READERS = {
    "rsa": jwt.algorithms.RSAAlgorithm,
    "other": jwt.algorithms.RSAAlgorithm,
    "short": jwt.algorithms.RSAAlgorithm,
}


def jwk(name: str, **more: Any) -> dict[str, Any]:
    key = KEYS[name].public_key()
    reader = _READERS.get(name) or (jwt.algorithms.ECAlgorithm if name.startswith("p") else jwt.algorithms.OKPAlgorithm)
    made = reader.to_jwk(key, as_dict=True)
    return {**made, "kid": name, **more}


@dataclass
class Site:
    """A server that publishes keys, as the test says."""

    url: str = ""
    keys: list[Any] = field(default_factory=list)
    status: int = 200
    cache_control: str = ""
    body: bytes | None = None
    asked: int = 0
    delay: float = 0.0


@contextmanager
def publishing(*names: str) -> Iterator[Site]:
    site = Site(keys=[jwk(name) for name in names])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked += 1
            time.sleep(site.delay)
            body = json.dumps({"keys": site.keys}).encode() if site.body is None else site.body
            self.send_response(site.status)
            self.send_header("content-length", str(len(body)))
            if site.cache_control:
                self.send_header("cache-control", site.cache_control)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "127.0.0.1")


@dataclass
class Trusting:
    """A host that trusts four issuers."""

    host: Host
    site: Site

    def token(self, key: Any = "rsa", algorithm: str = "RS256", *, headers: Any = None, **claims: Any) -> str:
        now = time.time()
        usual = {
            "iss": LOGIN,
            "aud": "aicflow",
            "sub": "ann",
            "exp": now + 300,
            "scope": "aicflow:read aicflow:execute",
        }
        claims = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        signer = KEYS.get(key, key) if isinstance(key, str) else key
        kid = {"kid": key} if isinstance(key, str) and key in KEYS else {}
        return jwt.api_jws.PyJWS.encode(
            _SIGNER, json.dumps(claims).encode(), signer, algorithm, headers={**kid, **(headers or {})}
        )

    def ask(self, token: str, path: str = "/workflows", **more: Any) -> httpx2.Response:
        return self.host.client.get(path, headers={"authorization": f"Bearer {token}"}, **more)

    def refused(self, token: str, why: str = "") -> None:
        answer = self.ask(token)
        assert answer.status_code == 401, (why, answer.text)
        problem(answer, 401, "unauthorized")


_SIGNER = jwt.api_jws.PyJWS()
_SIGNER.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    folder = tmp_path_factory.mktemp("issuers")
    (folder / "key.pem").write_bytes(
        KEYS["p256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "secret").write_text(SECRET + "\n")
    with publishing("rsa", "short", "p256", "p384", "ed", "ed448") as site:
        (folder / "issuers.toml").write_text(
            f"""
[[issuers]]
issuer = "{LOGIN}"
audience = ["aicflow", "other"]
algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
jwks_url = "{site.url}"

[[issuers]]
issuer = "{SHARED}"
audience = "aicflow"
algorithms = "HS256"
secret_file = "{folder}/secret"
scopes_claim = "realm_access.roles"
scopes = {{ viewer = "read", runner = ["read", "execute"], boss = "admin" }}
workflows_claim = "workflows"
labels_claim = "https://example.com/labels"

[[issuers]]
issuer = "{NARROW}"
audience = "aicflow"
algorithms = ["RS256"]
jwks_url = "{site.url}"

[[issuers]]
issuer = "{FILED}"
audience = "aicflow"
algorithms = ["ES256"]
public_key_file = "{folder}/key.pem"
leeway = 0
"""
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "127.0.0.1")
            with run_host(
                folder / "data", jwt_issuers=str(folder / "issuers.toml"), rate_wrong_keys="100000/s"
            ) as host:
                host.save({**ECHO, "labels": {"team": "a"}}, id="a")
                host.save({**ECHO, "labels": {"team": "b"}}, id="b")
                host.save(GATE, id="gate")
                yield Trusting(host, site)


def test_tokens_of_each_algorithm_count(trusting: Trusting) -> None:
    for key, algorithm in (
        ("rsa", "RS256"), ("rsa", "PS256"), ("p256", "ES256"), ("p384", "ES384"), ("ed", "EdDSA"), ("ed", "Ed25519")
    ):  # fmt: skip
        for kind in ("JWT", "at+jwt", "application/at+JWT", ""):
            answer = trusting.ask(trusting.token(key, algorithm, headers={"typ": kind}))
            assert answer.status_code == 200, (algorithm, kind, answer.text)
    assert trusting.ask(trusting.token("p256", "ES256", iss=FILED)).status_code == 200
    assert trusting.ask(trusting.token(aud=["x", "other"])).status_code == 200
    assert trusting.site.asked == 1, "the keys were fetched once"
    with trusting.host.bare(**{"x-api-key": trusting.token()}) as client:
        assert client.get("/workflows").status_code == 200


def test_a_token_does_what_its_scopes_say(trusting: Trusting) -> None:
    reader = trusting.token(scope=["aicflow:read", "profile"])
    assert trusting.ask(reader).status_code == 200
    start = {"json": {"workflow_id": "a"}, "headers": {"authorization": f"Bearer {reader}"}}
    told = problem(trusting.host.client.post("/executions", **start), 403, "forbidden")
    assert "'ann' has: read" in told["detail"]
    start["headers"] = {"authorization": f"Bearer {trusting.token()}"}
    assert trusting.host.client.post("/executions?wait=10", **start).json()["status"] == "succeeded"
    problem(trusting.ask(trusting.token(scope="openid read admin")), 403, "forbidden")
    problem(trusting.ask(trusting.token(scope=None)), 403, "forbidden")
    assert trusting.ask(trusting.token(scope="aicflow:admin"), "/api-keys").status_code == 200


def test_the_audit_names_who_has_a_token_beside_its_chain(trusting: Trusting) -> None:
    sub = "ann.lee@example.com"
    answer = trusting.host.client.post(
        "/workflows?id=audited",
        json=ECHO,
        headers={"authorization": f"Bearer {trusting.token(sub=sub, scope='aicflow:write')}"},
    )
    assert answer.status_code == 201
    asked = {"actor": f"token:{LOGIN}#{sub}"}
    [entry] = trusting.host.client.get("/audit", params=asked).json()["data"]
    assert (entry["actor"], entry["action"]) == (asked["actor"], "create_workflow")
    with sqlite3.connect(trusting.host.settings.data_dir / "aicflow.db") as database:
        rows = database.execute("SELECT body, personal FROM audit WHERE instr(personal, ?)", (sub,)).fetchall()
    assert len(rows) == 1
    assert sub not in rows[0][0], "the chain has a keyed hash, which can stay"
    assert trusting.host.client.get("/audit/verify").json()["problems"] == []
    assert trusting.host.client.delete("/workflows/audited").status_code == 204


def test_a_token_may_be_limited_to_workflows(trusting: Trusting) -> None:
    def seen(**claims: Any) -> list[str] | int:
        roles = {"roles": ["runner"]}
        answer = trusting.ask(trusting.token(SECRET, "HS256", iss=SHARED, realm_access=roles, **claims))
        return sorted(one["id"] for one in answer.json()["data"]) if answer.status_code == 200 else answer.status_code

    labels = "https://example.com/labels"
    assert seen(workflows=["a"]) == ["a"]
    assert seen(workflows="a gate") == ["a", "gate"]
    assert seen(**{labels: {"team": "b"}}) == seen(**{labels: "team=b"}) == ["b"]
    assert seen(workflows=["gate"], **{labels: ["team=b"]}) == ["b", "gate"]
    assert seen(workflows="*") == ["a", "b", "gate"]
    assert seen() == [], "a token that says nothing is for nothing"
    for wrong in ({"workflows": 1}, {"workflows": {"a": 1}}, {labels: "team"}, {labels: {"team": 1}}):
        assert seen(**wrong) == 401, wrong
    limited = trusting.token(SECRET, "HS256", iss=SHARED, realm_access={"roles": ["boss"]}, workflows="a")
    problem(trusting.ask(limited, "/api-keys"), 403, "forbidden")
    problem(trusting.ask(limited, "/workflows"), 403, "forbidden")


def test_claims_that_do_not_fit_are_refused(trusting: Trusting) -> None:
    now = time.time()
    for why, claims in {
        "expired": {"exp": now - 31},
        "no end": {"exp": None},
        "an end that is text": {"exp": str(now + 300)},
        "an end that is no number": {"exp": float("nan")},
        "an endless one": {"exp": float("inf")},
        "a huge end": {"exp": 10**400},
        "true": {"exp": True},
        "not yet": {"nbf": now + 60},
        "made later": {"iat": now + 60},
        "a list": {"nbf": [now]},
        "for another": {"aud": "elsewhere"},
        "for nobody": {"aud": None},
        "for an object": {"aud": {"aicflow": 1}},
        "for numbers": {"aud": [1, 2]},
        "of nobody": {"iss": None},
        "of a stranger": {"iss": "https://evil.example"},
        "of a list": {"iss": [LOGIN]},
        "of another issuer's name": {"iss": LOGIN.rstrip("/")},
        "without a subject": {"sub": None},
        "a subject that is a number": {"sub": 7},
        "an empty subject": {"sub": ""},
        "a subject with control characters": {"sub": "a\nb"},
        "a long subject": {"sub": "a" * 256},
        "scopes that are a number": {"scope": 5},
        "scopes in an object": {"scope": {"aicflow:read": True}},
    }.items():
        trusting.refused(trusting.token(**claims), why)
    assert trusting.ask(trusting.token(exp=now - 10, nbf=now + 10)).status_code == 200, "leeway"
    trusting.refused(trusting.token("p256", "ES256", iss=FILED, exp=now - 1), "no leeway there")


def b64(value: Any) -> str:
    return (
        base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode())
        .rstrip(b"=")
        .decode()
    )


def test_algorithms_are_the_issuers_never_the_tokens(trusting: Trusting) -> None:
    payload = trusting.token().split(".")[1]
    for name in ("none", "None", "NONE", "nOnE", ""):
        trusting.refused(f"{b64({'alg': name, 'kid': 'rsa'})}.{payload}.", name)
        trusting.refused(f"{b64({'alg': name})}.{payload}.{b64(b'x')}", name)
    # the public key, which everybody has, taken for the secret of an HMAC
    public = KEYS["rsa"].public_key()
    forms = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk("rsa")).encode(),
    ]
    for form in forms:
        for issuer in (LOGIN, FILED, SHARED):
            head = b64({"alg": "HS256", "kid": "rsa"})
            claims = b64(
                {"iss": issuer, "aud": "aicflow", "sub": "x", "exp": time.time() + 60, "scope": "aicflow:admin"}
            )
            trusting.refused(f"{head}.{claims}.{b64(hmac.digest(form, f'{head}.{claims}'.encode(), 'sha256'))}")
    trusting.refused(trusting.token("rsa", "RS512"), "an algorithm that nobody lists")
    assert trusting.ask(trusting.token("rsa", "RS256", iss=NARROW)).status_code == 200
    for key, algorithm in (("rsa", "PS256"), ("p256", "ES256"), ("ed", "EdDSA")):
        trusting.refused(trusting.token(key, algorithm, iss=NARROW), "an algorithm that another issuer lists")
    trusting.refused(trusting.token("p256", "ES256", headers={"kid": "p384"}), "another key's id")
    trusting.refused(trusting.token("ed", "EdDSA", headers={"kid": "rsa"}), "another type's id")
    trusting.refused(trusting.token("rsa", "RS256", iss=FILED), "another issuer's key")
    trusting.refused(trusting.token("p384", "ES384", iss=FILED))
    trusting.refused(trusting.token("ed448", "EdDSA"), "Ed448 is not Ed25519")
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        weak = trusting.token("short", "RS256")
    trusting.refused(weak, "1024 bits")
    trusting.refused(trusting.token(SECRET, "HS256"), "an issuer with public keys")


def test_headers_of_a_token_lead_nowhere(trusting: Trusting) -> None:
    asked = trusting.site.asked
    with publishing("other") as evil:
        for headers in (
            {"jku": evil.url}, {"x5u": evil.url}, {"jwk": jwk("other")}, {"x5c": ["MIIB"]}, {"kid": "other"},
            {"jku": evil.url, "kid": "rsa"},
        ):  # fmt: skip
            trusting.refused(trusting.token("other", headers=headers), str(headers))
        assert evil.asked == 0
    assert trusting.ask(trusting.token(headers={"jku": "https://x.example", "x5c": ["no"]})).status_code == 200
    for headers in (
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": "b64"},
        {"crit": ["b64"], "b64": True},
        {"typ": "secevent+jwt"},
        {"typ": "JWE"},
    ):
        trusting.refused(trusting.token(headers=headers), str(headers))
    for kid in (["rsa"], 1, {"kid": "rsa"}):
        head = b64({"alg": "RS256", "kid": kid})
        trusting.refused(f"{head}.{trusting.token().partition('.')[2]}", str(kid))
    trusting.refused(trusting.token(more="x" * 8192), "longer than 8 kB")
    for deep in ("[" * 3000, '{"a":' * 1200):
        trusting.refused(f"{b64(deep.encode())}.{b64(deep.encode())}.{b64(b'x')}")
        trusting.refused(f"{b64({'alg': 'RS256'})}.{b64(deep.encode())}.{b64(b'x')}")
    assert trusting.site.asked <= asked + 1


def test_a_changed_token_is_refused(trusting: Trusting) -> None:
    head, claims, signature = trusting.token().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for place in range(0, len(raw), 17):
        changed = bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]])
        trusting.refused(f"{head}.{claims}.{b64(changed)}")
    grown = b64({**json.loads(base64.urlsafe_b64decode(claims + "==")), "scope": "aicflow:admin"})
    trusting.refused(f"{head}.{grown}.{signature}")
    for odd in (
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f".{claims}.{signature}",
        f"{head}..{signature}",
        "..",
        ". . .",
    ):
        trusting.refused(odd)


_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "cty"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=9)
        | st.sampled_from(["RS256", "rsa", "JWT", "none"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
)
_CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "scope", "workflows", "realm_access"]),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
        st.sampled_from([LOGIN, SHARED, "aicflow"]), st.lists(st.text(max_size=3), max_size=2),
        st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=_HEADERS | st.binary(max_size=40),
    claims=_CLAIMS | st.binary(max_size=40),
    signature=st.binary(max_size=300),
    signed=st.booleans(),
)
def test_whatever_a_token_is_the_answer_is_no_500(
    trusting: Trusting, header: Any, claims: Any, signature: bytes, signed: bool
) -> None:
    head, body = b64(header), b64(claims)
    if signed:
        signature = hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), "sha256")
    answer = trusting.ask(f"{head}.{body}.{b64(signature)}")
    assert answer.status_code in (200, 401, 403), answer.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(claims=_CLAIMS)
def test_whatever_a_trusted_issuer_signs_the_answer_is_no_500(trusting: Trusting, claims: dict[str, Any]) -> None:
    whole = {"iss": SHARED, "aud": "aicflow", "sub": "x", "exp": time.time() + 60, **claims}
    head, body = b64({"alg": "HS256"}), b64(whole)
    signature = b64(hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), "sha256"))
    assert trusting.ask(f"{head}.{body}.{signature}").status_code in (200, 401, 403)


def test_a_stream_ends_when_its_token_does(trusting: Trusting, gate: threading.Event) -> None:
    execution = trusting.host.start("gate", wait=None)
    url = trusting.host.url.replace("http", "ws", 1) + f"/api/v1/executions/{execution['id']}/stream"
    brief = trusting.token("p256", "ES256", iss=FILED, exp=time.time() + 1.5)
    with connect(url, subprotocols=["aicflow.v1", f"aicflow.key.{brief}"], close_timeout=2) as stream:
        assert stream.subprotocol == "aicflow.v1"
        with contextlib.suppress(ConnectionClosed):
            while True:
                stream.recv(timeout=20)
        assert stream.close_code == 1008
    trusting.refused(brief)


# --- the keys of an issuer


@dataclass
class Ticking:
    """A clock that the test moves."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


async def landed(keys: Jwks) -> None:
    """Wait for the fetch that is under way."""
    if keys._flight is not None:
        await asyncio.wait((keys._flight,))


def trying(story: Callable[[Jwks, Site, Ticking], Any], *names: str) -> None:
    """Run a story with the keys of a server and a clock of its own."""

    async def run() -> None:
        clock = Ticking()
        with publishing(*names) as site:
            keys = Jwks(site.url, now=clock)
            try:
                await story(keys, site, clock)
            finally:
                await keys.close()

    asyncio.run(run())


def test_keys_are_kept_fetched_again_and_rotated() -> None:
    async def story(keys: Jwks, site: Site, clock: Ticking) -> None:
        site.cache_control = "public, max-age=600"
        assert len(await keys.keys("rsa", "RS256")) == 1
        assert len(await keys.keys(None, "RS256")) == 1, "the only one that fits"
        clock.at += 599
        await keys.keys("rsa", "RS256")
        assert site.asked == 1
        site.keys = [jwk("other")]
        clock.at += 2  # stale: what is known counts while the new ones are fetched
        assert len(await keys.keys("rsa", "RS256")) == 1
        await landed(keys)
        assert site.asked == 2
        assert await keys.keys("rsa", "RS256") == [], "taken out"
        assert len(await keys.keys("other", "RS256")) == 1
        site.keys.append(jwk("p256"))  # rotated within its age: an unknown id fetches
        clock.at += 31
        assert len(await keys.keys("p256", "ES256")) == 1
        assert site.asked == 3

    trying(story, "rsa")


def test_unknown_ids_fetch_once_in_thirty_seconds_and_many_wait_for_one() -> None:
    async def story(keys: Jwks, site: Site, clock: Ticking) -> None:
        site.delay = 0.1
        await asyncio.gather(*[keys.keys("rsa", "RS256") for _ in range(50)])
        assert site.asked == 1
        for number in range(500):
            assert await keys.keys(f"no{number}", "RS256") == []
        assert site.asked == 1, "just fetched"
        clock.at += 31
        await asyncio.gather(*[keys.keys(f"no{number}", "RS256") for number in range(500)])
        assert site.asked == 2
        assert len(keys._missing) <= jwks.MOST_MISSING
        clock.at += 31
        assert await keys.keys("no0", "RS256") == []
        missing = next(reversed(keys._missing))
        before = site.asked
        clock.at += 0.5
        await keys.keys(missing, "RS256")
        assert site.asked == before, "an id that was not there is not looked for again at once"

    trying(story, "rsa")


def test_the_last_good_keys_count_for_a_day_while_none_can_be_had(caplog: pytest.LogCaptureFixture) -> None:
    async def story(keys: Jwks, site: Site, clock: Ticking) -> None:
        await keys.keys("rsa", "RS256")
        for status, body in ((500, None), (200, b"<html>"), (200, b'{"keys": 1}'), (200, b'{"keys": []}'), (302, b""),
                             (200, b"[" * 100_000), (200, b" " * (jwks.LARGEST + 1)),
                             (200, json.dumps({"keys": [jwk("rsa")] * (jwks.MOST_KEYS + 1)}).encode())):  # fmt: skip
            site.status, site.body = status, body
            clock.at += 4000
            assert len(await keys.keys("rsa", "RS256")) == 1
            await landed(keys)
        assert "cannot be fetched" in caplog.text
        clock.at += jwks.LONGEST_AGE
        with pytest.raises(Problem) as told:
            await keys.keys("rsa", "RS256")
        assert told.value.code == "unavailable"
        asked = site.asked
        for _ in range(20):
            with pytest.raises(Problem):
                await keys.keys("rsa", "RS256")
        assert site.asked == asked
        site.status, site.body = 200, None
        clock.at += 31
        assert len(await keys.keys("rsa", "RS256")) == 1

    trying(story, "rsa")


def test_only_keys_that_check_signatures_are_taken() -> None:
    async def story(keys: Jwks, site: Site, clock: Ticking) -> None:
        private = {**jwk("other"), "d": "AQAB"}
        odd = [
            None,
            1,
            "x",
            {},
            {"kty": "RSA"},
            {"kty": "EC", "crv": "P-1"},
            {"kty": ["RSA"]},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        ]
        site.keys = [*odd, private, jwk("p256", use="enc"), jwk("p384", key_ops=["sign"]), jwk("rsa", alg="RS256")]
        assert len(await keys.keys("rsa", "RS256")) == 1
        assert await keys.keys("rsa", "PS256") == [], "the key says what it is for"
        for kid in ("other", "p256", "p384", "oct"):
            assert await keys.keys(kid, "RS256") == await keys.keys(kid, "ES256") == await keys.keys(kid, "HS256") == []

    trying(story, "rsa")


def test_the_guard_is_asked_before_keys_are_fetched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "")

    async def story(keys: Jwks, site: Site, clock: Ticking) -> None:
        with pytest.raises(Problem):
            await keys.keys("rsa", "RS256")
        assert site.asked == 0
        assert "AICFLOW_HTTP_ALLOW_HOSTS" in caplog.text or "refused" in caplog.text

    trying(story, "rsa")


# --- the setting


GOOD = {"issuer": LOGIN, "audience": "aicflow", "algorithms": "RS256", "jwks_url": "https://login.example.com/jwks"}


def test_the_setting_is_json_or_a_file(tmp_path: Path) -> None:
    assert read_issuers(None) == read_issuers("") == ()
    [issuer] = read_issuers(json.dumps([GOOD]))
    assert (issuer.audience, issuer.algorithms, issuer.leeway) == (("aicflow",), ("RS256",), 30)
    (tmp_path / "issuers.json").write_text(json.dumps({"issuers": [GOOD]}))
    assert read_issuers(str(tmp_path / "issuers.json")) == (issuer,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"jwks_url": None}, "exactly one of jwks_url"),
        ({"secret_env": "X"}, "exactly one of jwks_url"),
        ({"algorithms": ["RS256", "HS256"]}, "HS256 stands alone"),
        ({"jwks_url": None, "secret_env": "X"}, "HS256 stands alone"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"audience": []}, "audience"),
        ({"jwks_url": "http://login.example.com/jwks"}, "must be an https URL"),
        ({"jwks_url": "file:///etc/passwd"}, "must be an https URL"),
        ({"scopes": {"x": "root"}}, "scopes"),
        ({"leeway": 3000}, "leeway"),
        ({"jwks": "x"}, "jwks: is not known"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_told_with_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(AICFlowError) as told:
        read_issuers(json.dumps([{**GOOD, **change}]))
    assert "AICFLOW_JWT_ISSUERS: issuers[0]" in told.value.message
    assert words in told.value.message


def test_a_host_with_a_short_secret_or_a_wrong_file_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aicflow.engine.clock import SystemClock
    from aicflow.host.tokens import Tokens

    def made(**change: Any) -> None:
        usual = {name: value for name, value in GOOD.items() if name != "jwks_url"}
        Tokens(read_issuers(json.dumps([{**usual, **change}])), SystemClock())

    monkeypatch.setenv("JWT_SECRET", "short")
    with pytest.raises(AICFlowError, match=r"\$JWT_SECRET has 5 bytes; HS256 needs at least 32"):
        made(algorithms="HS256", secret_env="JWT_SECRET")
    with pytest.raises(AICFlowError, match="cannot be read"):
        made(algorithms="HS256", secret_file=str(tmp_path / "none"))
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----\n")
    with pytest.raises(AICFlowError, match="is not a public key in PEM"):
        made(public_key_file=str(tmp_path / "key.pem"))
    pem = (
        KEYS["p384"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(AICFlowError, match="does not fit ES256"):
        made(algorithms="ES256", public_key_file=str(tmp_path / "key.pem"))
    for text in ("{", "[1]", "{}", '{"issuers": 1}', json.dumps([GOOD, GOOD]), str(tmp_path / "none.toml")):
        with pytest.raises(AICFlowError):
            read_issuers(text)
