"""What the two trigger types tell validation, and what they refuse before anything is live."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import Binding, PermanentError
from aicflow_trigger.cron import CronParams, CronPayload, CronTrigger
from aicflow_trigger.respond import RespondParams
from aicflow_trigger.webhook import Hook, WebhookTrigger
from aicflow_trigger.webhook_params import WebhookParams
from jsonschema import Draft202012Validator
from pydantic import ValidationError

CALL = {
    "method": "POST", "path": "orders/7", "path_params": {"id": "7"}, "query": {"a": ["1", "2"]}, "headers": {},
    "body": {"any": [1, None]}, "content_type": "application/json", "files": [], "delivery_id": None,
    "authenticated_by": None,
    "received_at": "2026-06-01T12:00:00.000Z",
}  # fmt: skip
FORM = {"note": "n", "many": ["1", "2"]}
BYTES = {"base64": "AA==", "size": 1, "content_type": "application/zip"}
FILE = {"field": "f", "filename": "a", "content_type": "x/y", "size": 1, "base64": "AA=="}
KEPT = {"$blob": "0" * 64, "size": 1, "type": "x/y", "name": "a"}
SMALL, LARGE = {**FILE, "file": None}, {**FILE, "base64": None, "file": KEPT}
NO_FILES = {"files_above": None}


@pytest.mark.parametrize(
    ("params", "change", "fits"),
    [
        ({}, {}, True),
        ({"path": "orders/{other}"}, {}, False),
        ({}, {"path_params": {}}, False),
        ({}, {"method": "GET"}, False),
        ({"methods": ["GET", "POST"]}, {"method": "GET"}, True),
        ({}, {"odd": 1}, False),
        ({"accept": ["json"]}, {}, True),
        ({"accept": ["form"]}, {"body": FORM}, True),
        ({"accept": ["form"]}, {"body": {"a": 1}}, False),
        ({"accept": ["form"]}, {"body": None}, False),
        ({"accept": ["form", "empty"]}, {"body": None}, True),
        ({"accept": ["text"]}, {"body": "t"}, True),
        ({"accept": ["text"]}, {"body": "t", "files": [FILE]}, False),
        ({"accept": ["multipart"], **NO_FILES}, {"body": FORM, "files": [FILE]}, True),
        ({"accept": ["multipart"], **NO_FILES}, {"body": FORM, "files": [LARGE]}, False),
        ({"accept": ["multipart"], "max_body_bytes": 1_048_576}, {"body": FORM, "files": [FILE]}, True),
        ({"accept": ["multipart"]}, {"body": FORM, "files": [SMALL, LARGE]}, True),
        ({"accept": ["multipart"]}, {"body": FORM, "files": [FILE]}, False),
        ({"accept": ["multipart"], "files_above": 0}, {"body": FORM, "files": [LARGE]}, True),
        ({"accept": ["multipart"], "files_above": 0}, {"body": FORM, "files": [SMALL]}, False),
        ({"accept": ["bytes"], **NO_FILES}, {"body": BYTES}, True),
        ({"accept": ["bytes"], **NO_FILES}, {"body": {**BYTES, "more": 1}}, False),
        ({"accept": ["bytes"]}, {"body": {**BYTES, "base64": None, "file": KEPT}}, True),
        ({"accept": ["bytes"]}, {"body": BYTES}, False),
        ({"accept": ["bytes", "json"]}, {}, True),
        ({"accept": "${{ vars.accept }}", "path": 7, "methods": "x"}, {"path_params": {}}, True),
    ],
)
def test_the_payload_has_the_shape_that_the_params_say(
    params: dict[str, Any], change: dict[str, Any], fits: bool
) -> None:
    schema = WebhookTrigger.payload_schema_for({"path": "orders/{id}", **params})
    assert schema is not None
    Draft202012Validator.check_schema(schema)
    errors = list(Draft202012Validator(schema).iter_errors({**CALL, **change}))
    if params.get("path") == 7:
        errors = [error for error in errors if list(error.path) != ["path_params"]]
    assert (not errors) == fits, errors


def test_what_a_hand_fires_fits_the_schema_too() -> None:
    params = WebhookParams(path="/orders/{id}/", methods=["PUT"])
    schema = WebhookTrigger.payload_schema_for({"path": params.path, "methods": params.methods})
    assert schema is not None
    payload = WebhookTrigger.manual_payload(params, 0.0)
    assert not list(Draft202012Validator(schema).iter_errors(payload))
    assert payload["path_params"] == {"id": ""}

    cron = CronTrigger.manual_payload(CronParams(schedule="@daily", timezone="Asia/Kathmandu"), 0.0)
    assert CronPayload.model_validate(cron).local == "1970-01-01T05:30:00+05:30"


def hook(path: str, *methods: str, id: str = "wf:a") -> tuple[Binding, WebhookParams]:
    binding = Binding(id, *id.split(":"), "trigger.webhook", 1)
    return binding, WebhookParams(path=path, methods=list(methods) or ["POST"])  # type: ignore[arg-type]


async def test_hooks_come_change_and_go() -> None:
    trigger = WebhookTrigger()
    await trigger.activate(*hook("a/{x}", "GET"))
    await trigger.activate(*hook("a/{y}", "POST", id="wf:b"))
    await trigger.activate(*hook("a/b", "PUT", id="wf:c"))
    for method, found, given in (("GET", "wf:a", {"x": "b"}), ("POST", "wf:b", {"y": "b"}), ("PUT", "wf:c", {})):
        answer = trigger.find("/a/b", method)
        assert answer is not None
        assert answer.hook is not None
        assert (answer.hook.binding.id, answer.path_params) == (found, given)
    answer = trigger.find("/a/b", "PATCH")
    assert answer is not None
    assert (answer.hook, answer.methods) == (None, ["GET", "POST", "PUT"])

    await trigger.activate(*hook("moved", "GET"))
    answer = trigger.find("/a/z", "GET")
    assert answer is not None
    assert answer.methods == ["POST"]
    await trigger.deactivate(hook("a/{y}", id="wf:b")[0])
    await trigger.deactivate(hook("a/{y}", id="wf:b")[0])
    assert trigger.find("/a/z", "POST") is None
    await trigger.unavailable(hook("a/b", id="wf:c")[0], {"path": "elsewhere", "methods": ["PUT"]}, "a secret is gone")
    assert trigger.find("/a/b", "PUT") is None
    answer = trigger.find("/elsewhere", "PUT")
    assert answer is not None
    assert answer.hook is not None
    assert answer.hook.params is None
    await trigger.activate(*hook("a/b", "PUT", id="wf:c"))
    assert trigger.find("/elsewhere", "PUT") is None


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (("a", "GET"), ("a", "POST"), None),
        (("a", "GET", "POST"), ("/a/", "POST"), "POST /hooks/a would match both"),
        (("a/{x}", "POST"), ("a/b", "POST"), "POST /hooks/a/b would match both"),
        (("a/{x}", "POST"), ("{y}/b", "POST"), "POST /hooks/a/b would match both"),
        (("a/{x}", "POST"), ("a", "POST"), None),
    ],
)
def test_two_hooks_must_not_wait_for_the_same_call(one: Any, other: Any, clash: str | None) -> None:
    why = WebhookTrigger.conflict(hook(*one)[1], hook(*other)[1])
    assert why is None if clash is None else clash in (why or "")


def test_a_secret_that_can_never_verify_is_not_shown() -> None:
    auth = {"type": "hmac", "preset": "standard-webhooks", "secrets": ["%%hidden%%"]}
    params = WebhookParams.model_validate({"path": "a", "auth": auth})
    with pytest.raises(PermanentError, match="base64") as caught:
        Hook.of(hook("a")[0], params)
    assert "hidden" not in str(caught.value)


def test_answers_may_set_guarded_headers_where_the_operator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Set-Cookie": "a=b", "content-security-policy": "default-src 'self'"}
    with pytest.raises(ValidationError, match="AICFLOW_WEBHOOK_ALLOW_HEADERS=set-cookie"):
        RespondParams(headers=headers)
    monkeypatch.setenv("AICFLOW_WEBHOOK_ALLOW_HEADERS", "Set-Cookie, content-security-policy")
    assert RespondParams(headers=headers).headers == headers
    with pytest.raises(ValidationError, match="X-Frame-Options"):
        RespondParams(headers={"X-Frame-Options": "ALLOWALL"})
