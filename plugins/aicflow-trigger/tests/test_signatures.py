"""Deliveries that prove where they come from, and everything that does not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError
from aicflow_trigger.signatures import PlainScheme, Preset, Verified, check_settings, verify
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

NOW = 1_780_000_000.0
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# The example of the Standard Webhooks specification and its libraries.
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}

# GitHub, "Validating webhook deliveries": testing the webhook payload validation.
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_HEADERS = {
    "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
}

# Slack, "Verifying requests from Slack".
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_HEADERS = {
    "X-Slack-Request-Timestamp": "1531420618",
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}

# Stripe publishes no secret with its example; this digest comes from the signer of stripe-python 16.1.0.
STRIPE_SECRET = "whsec_test_secret"
STRIPE_BODY = b'{\n  "id": "evt_test_webhook",\n  "object": "event"\n}'
STRIPE_HEADERS = {
    "Stripe-Signature": "t=1492774577,v1=c2f890decbc5ede7c5060bb9a6d31e0626a4342bacb9aeae2adb1bcea72f9812,v0=6ffbb5"
}

PUBLISHED = [
    (
        "standard-webhooks",
        WHSEC,
        STANDARD_HEADERS,
        STANDARD_BODY,
        1614265330.0,
        Verified("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330),
    ),
    (
        "github",
        GITHUB_SECRET,
        GITHUB_HEADERS,
        b"Hello, World!",
        NOW,
        Verified("72d3162e-cc78-11e3-81ab-4c9367dc0958", None),
    ),
    ("slack", SLACK_SECRET, SLACK_HEADERS, SLACK_BODY, 1531420618.0, Verified(None, 1531420618)),
    ("stripe", STRIPE_SECRET, STRIPE_HEADERS, STRIPE_BODY, 1492774577.0, Verified("evt_test_webhook", 1492774577)),
]


@pytest.mark.parametrize(("preset", "secret", "headers", "body", "now", "expected"), PUBLISHED)
def test_the_vectors_that_senders_publish(
    preset: Preset, secret: str, headers: dict[str, str], body: bytes, now: float, expected: Verified
) -> None:
    assert verify(preset, [secret], headers, body, now) == expected
    shouting = {name.upper(): value for name, value in headers.items()}
    assert verify(preset, [secret], shouting, body, now) == expected


@pytest.mark.parametrize(("preset", "secret", "headers", "body", "now", "expected"), PUBLISHED)
def test_one_changed_bit_is_enough_to_be_rejected(
    preset: Preset, secret: str, headers: dict[str, str], body: bytes, now: float, expected: Verified
) -> None:
    for position in range(0, len(body), 7):
        changed = bytes(byte ^ (position == at) for at, byte in enumerate(body))
        with pytest.raises(SignatureRejected, match="does not fit the body"):
            verify(preset, [secret], headers, changed, now)
    other = "whsec_" + base64.b64encode(b"another secret, as long").decode()
    with pytest.raises(SignatureRejected, match="does not fit the body"):
        verify(preset, [other], headers, body, now)


@pytest.mark.parametrize(("preset", "secret", "headers", "body", "now", "expected"), PUBLISHED)
def test_two_secrets_live_side_by_side_while_a_sender_changes_over(
    preset: Preset, secret: str, headers: dict[str, str], body: bytes, now: float, expected: Verified
) -> None:
    other = "whsec_" + base64.b64encode(b"another secret, as long").decode()
    assert verify(preset, [other, secret], headers, body, now) == expected
    assert verify(preset, [secret, other], headers, body, now) == expected


@pytest.mark.parametrize(("preset", "secret", "headers", "body", "now", "expected"), PUBLISHED)
def test_an_old_delivery_is_not_taken_again(
    preset: Preset, secret: str, headers: dict[str, str], body: bytes, now: float, expected: Verified
) -> None:
    if expected.timestamp is None:
        assert verify(preset, [secret], headers, body, now + 9e9) == expected
        return
    for offset in (-300, 300):
        assert verify(preset, [secret], headers, body, now + offset) == expected
    with pytest.raises(SignatureRejected, match="301 s ago"):
        verify(preset, [secret], headers, body, now + 301)
    with pytest.raises(SignatureRejected, match="301 s ahead"):
        verify(preset, [secret], headers, body, now - 301)
    with pytest.raises(SignatureRejected, match="11 s ago; at most 10 s"):
        verify(preset, [secret], headers, body, now + 11, window=10)


@pytest.mark.parametrize(("preset", "secret", "headers", "body", "now", "expected"), PUBLISHED)
def test_each_header_is_needed_but_the_delivery_id_of_github(
    preset: Preset, secret: str, headers: dict[str, str], body: bytes, now: float, expected: Verified
) -> None:
    for name in headers:
        rest = {other: value for other, value in headers.items() if other != name}
        if name == "X-GitHub-Delivery":
            assert verify(preset, [secret], rest, body, now) == Verified(None, None)
        else:
            with pytest.raises(SignatureRejected, match=f"header {name} is missing"):
                verify(preset, [secret], rest, body, now)


@pytest.mark.parametrize(
    "secret", [WHSEC, WHSEC.removeprefix("whsec_"), "whsec_" + base64.b64encode(b"x" * 25).decode()]
)
@pytest.mark.parametrize("payload", ['{"type": "order.paid"}', "", "naïve ☃"])
def test_the_official_standard_webhooks_library_is_understood(secret: str, payload: str) -> None:
    sent = datetime.fromtimestamp(NOW, UTC)
    headers = {
        "Webhook-Id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        "Webhook-Timestamp": str(int(NOW)),
        "Webhook-Signature": "v1a,bm90IG91cnM= "
        + Webhook(secret).sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", sent, payload),
    }
    verified = verify("standard-webhooks", [secret], headers, payload.encode(), NOW)
    assert verified == Verified("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", int(NOW))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1",
        "v1,",
        "v1,!!!",
        "v1,é",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,AA==,AA==",
        " ".join(["v1,AA=="] * 17),
    ],
)
def test_what_breaks_the_official_library_is_merely_rejected(header: str) -> None:
    with pytest.raises(SignatureRejected):
        verify(
            "standard-webhooks", [WHSEC], STANDARD_HEADERS | {"webhook-signature": header}, STANDARD_BODY, 1614265330
        )


@pytest.mark.parametrize(
    "text", ["", "now", "1614265330.5", "-1614265330", "1" * 400, "١٦١٤٢٦٥٣٣٠", "1e9", "0x10", "NaN"]
)
def test_odd_times_are_rejected(text: str) -> None:
    with pytest.raises(SignatureRejected):
        verify("standard-webhooks", [WHSEC], STANDARD_HEADERS | {"webhook-timestamp": text}, STANDARD_BODY, 1614265330)
    with pytest.raises(SignatureRejected):
        verify("slack", [SLACK_SECRET], SLACK_HEADERS | {"X-Slack-Request-Timestamp": text}, SLACK_BODY, 1531420618)
    header = STRIPE_HEADERS["Stripe-Signature"].replace("1492774577", text)
    with pytest.raises(SignatureRejected):
        verify("stripe", [STRIPE_SECRET], {"Stripe-Signature": header}, STRIPE_BODY, 1492774577)


def test_stripe_may_sign_with_two_secrets_at_once_but_not_with_two_times() -> None:
    header = STRIPE_HEADERS["Stripe-Signature"].replace(",v1=", f",v1={'0' * 64},v1=")
    assert verify("stripe", [STRIPE_SECRET], {"Stripe-Signature": header}, STRIPE_BODY, 1492774577)
    with pytest.raises(SignatureRejected, match="exactly one time"):
        verify("stripe", [STRIPE_SECRET], {"Stripe-Signature": header + ",t=1492774578"}, STRIPE_BODY, 1492774577)


def test_a_slack_event_is_known_by_its_event_id() -> None:
    body = json.dumps({"type": "event_callback", "event_id": "Ev08MFMKH6"}).encode()
    digest = hmac.new(SLACK_SECRET.encode(), b"v0:1780000000:" + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": "1780000000", "x-slack-signature": f"v0={digest}"}
    assert verify("slack", [SLACK_SECRET], headers, body, NOW).delivery_id == "Ev08MFMKH6"


def _hex(digest: bytes) -> str:
    return digest.hex()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize(("encoding", "write"), [("hex", _hex), ("base64", _base64)])
@pytest.mark.parametrize("prefix", ["", "sha256=", "HMAC "])
def test_a_plain_signature_can_be_laid_out_in_many_ways(
    algorithm: str, encoding: str, write: Callable[[bytes], str], prefix: str
) -> None:
    body = bytes(range(256))
    scheme = PlainScheme("X-My-Sig", algorithm, encoding, prefix, "X-My-Id")  # type: ignore[arg-type]
    signed = prefix + write(hmac.new(b"k", body, algorithm).digest())
    headers = {"x-my-sig": signed, "x-my-id": "42"}
    assert verify("plain", ["k"], headers, body, NOW, plain=scheme) == Verified("42", None)
    assert verify("plain", ["k"], {"x-my-sig": signed}, body, NOW, plain=scheme) == Verified(None, None)
    with pytest.raises(SignatureRejected):
        verify("plain", ["k"], {"x-my-sig": "x" + signed}, body, NOW, plain=scheme)


def test_a_header_that_came_twice_is_not_chosen_from() -> None:
    headers = GITHUB_HEADERS | {"x-hub-signature-256": "sha256=" + "0" * 64}
    with pytest.raises(SignatureRejected, match="twice"):
        verify("github", [GITHUB_SECRET], headers, b"Hello, World!", NOW)


def test_a_delivery_id_fit_to_be_a_key_is_demanded() -> None:
    for odd in ("a b", "x" * 257, "é", "\t\x00"):
        with pytest.raises(SignatureRejected):
            verify("github", [GITHUB_SECRET], GITHUB_HEADERS | {"X-GitHub-Delivery": odd}, b"Hello, World!", NOW)


@pytest.mark.parametrize(
    ("preset", "secrets", "plain", "message"),
    [
        ("github", [], None, "from 1 to 2"),
        ("github", ["a", "b", "c"], None, "from 1 to 2"),
        ("github", ["a", ""], None, "empty"),
        ("github", ["\ud800"], None, "not text"),
        ("standard-webhooks", ["whsec_%%%"], None, "base64"),
        ("standard-webhooks", ["whsec_"], None, "base64"),
        ("standard-webhooks", ["whsec_é"], None, "base64"),
        ("gitlab", ["a"], None, "standard-webhooks, github"),
        ("plain", ["a"], PlainScheme("X Sig"), "name of a header"),
        ("plain", ["a"], PlainScheme(delivery_header="\n"), "name of a header"),
        ("plain", ["a"], PlainScheme(algorithm="md5"), "not supported"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_can_never_work_are_found_beforehand(
    preset: Preset, secrets: list[str], plain: PlainScheme | None, message: str
) -> None:
    with pytest.raises(SignatureSettingsError, match=message):
        check_settings(preset, secrets, plain)


NAMES = st.sampled_from(
    [
        *STANDARD_HEADERS,
        *GITHUB_HEADERS,
        *SLACK_HEADERS,
        *STRIPE_HEADERS,
        "X-Signature",
    ]
)
PIECES = st.sampled_from(
    ["v1,", "v1=", "t=", "v0=", "sha256=", "1780000000", ",", "=", " ", "0" * 64, "AAAA", "é", "\ud800"]
)
VALUES = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40)


@settings(max_examples=400, deadline=None)
@given(
    preset=st.sampled_from(["standard-webhooks", "github", "stripe", "slack", "plain"]),
    headers=st.dictionaries(NAMES, VALUES) | st.dictionaries(st.text(max_size=8), VALUES),
    body=st.binary(max_size=64),
    now=st.sampled_from([NOW, 0.0, -1e18, 1e300]),
)
@example("slack", {"x-slack-request-timestamp": "1780000000", "x-slack-signature": "v0=\ud800"}, b"", NOW)
def test_nothing_that_can_be_sent_is_more_than_rejected(
    preset: Preset, headers: dict[str, str], body: bytes, now: float
) -> None:
    with pytest.raises(SignatureRejected) as caught:
        verify(preset, [WHSEC], headers, body, now)
    assert "MfKQ9r8" not in caught.value.reason
