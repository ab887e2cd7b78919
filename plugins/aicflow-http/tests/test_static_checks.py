"""What is seen in a document before any execution."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow_http import HttpRequest, HttpRequestParams


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"url": "https://api.example.com/${{ input.id }}"}, []),
        ({"url": "${{ input.url }}"}, []),
        ({"url": "https://${{ input.host }}.example.com/x"}, []),
        ({"url": "https://example.com:${{ input.port }}/"}, []),
        ({"url": "http://127.0.0.1:8700${{ input.path }}"}, []),
        ({"url": "http://127.0.0.1:99999${{ input.path }}"}, [("error", "/url")]),
        ({"url": "ftp://example.com/"}, [("error", "/url")]),
        ({"url": "example.com"}, [("error", "/url")]),
        ({"url": "https://me:pw@example.com/"}, [("error", "/url")]),
        ({"url": 5, "headers": "x", "auth": "y", "response": 1}, []),
        ({"url": "https://e.com", "auth": {"type": "bearer", "token": "abc"}}, [("warning", "/auth/token")]),
        ({"url": "https://e.com", "auth": {"type": "bearer", "token": "${{ secrets.t }}"}}, []),
        (
            {
                "url": "https://e.com",
                "auth": {"type": "oauth2_client_credentials", "token_url": "x", "client_secret": "s"},
            },
            [("error", "/auth/token_url"), ("warning", "/auth/client_secret")],
        ),
        ({"url": "https://e.com", "headers": {"X-Api-Key": "abc", "Accept": "x"}}, [("warning", "/headers/X-Api-Key")]),
        (
            {"url": "https://e.com", "pagination": {"type": "link"}, "response": {"as": "text"}},
            [("error", "/response/as")],
        ),
    ],
)
def test_problems(params: dict[str, Any], found: list[tuple[str, str]]) -> None:
    issues = HttpRequest.check(params)
    assert [(issue.severity, issue.pointer) for issue in issues] == found
    assert all(issue.code == "param.invalid" and "pw" not in issue.message for issue in issues)


def test_what_an_address_begins_with_is_told_as_it_was_written() -> None:
    messages = [HttpRequest.check({"url": url})[0].message for url in ("example.com", "ftp://example.com/")]
    assert messages[0].endswith("start with http:// or https://.")
    assert messages[1].endswith("start with http:// or https://, not 'ftp'.")


def test_the_output_is_closed_and_its_body_is_known_where_it_can_be() -> None:
    schema = HttpRequest.output_schema_for({"url": "https://e.com"})
    assert schema is not None
    assert schema["additionalProperties"] is False
    assert {"status", "headers", "body", "url", "elapsed_ms"} <= set(schema["properties"])
    for wanted in ("text", "bytes"):
        schema = HttpRequest.output_schema_for({"url": "https://e.com", "response": {"as": wanted}})
        assert schema is not None
        assert schema["properties"]["body"] == {"type": "string"}
    schema = HttpRequest.output_schema_for({"url": "https://e.com", "pagination": {"type": "link"}})
    assert schema is not None
    assert schema["properties"]["body"] == {"title": "Body"}


def test_secrets_are_allowed_where_credentials_go() -> None:
    schema = HttpRequest.params_schema()
    for name in ("headers", "cookies", "proxy"):
        assert schema["properties"][name]["x-aicflow"]["secret"] is True
    assert schema["properties"]["url"]["x-aicflow"] == {"kind": "url"}
    for model, name in (
        ("BasicAuth", "password"),
        ("BearerAuth", "token"),
        ("ApiKeyAuth", "value"),
        ("HmacAuth", "secret"),
        ("OAuth2ClientCredentials", "client_secret"),
        ("Tls", "client_key"),
        ("JsonBody", "value"),
        ("FormBody", "fields"),
        ("RawBody", "text"),
        ("Part", "text"),
    ):
        assert schema["$defs"][model]["properties"][name]["x-aicflow"]["secret"] is True, (model, name)


def test_params_are_frozen_closed_and_do_not_show_secrets() -> None:
    params = HttpRequestParams.model_validate(
        {
            "url": "https://e.com",
            "auth": {"type": "bearer", "token": "hidden"},
            "body": {"type": "raw", "text": "hidden"},
        }
    )
    assert "hidden" not in repr(params)
    with pytest.raises(ValueError, match="frozen"):
        params.url = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        HttpRequestParams.model_validate({"url": "https://e.com", "urll": 1})
