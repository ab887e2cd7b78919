"""curl command lines: what browsers and documentation write, what cannot be carried over, and the way back."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from aicflow import AICFlowError
from aicflow_curl import aicflow_commands, from_curl, to_curl
from aicflow_http import HttpRequestParams
from hypothesis import given, settings
from hypothesis import strategies as st

CHROME = r"""curl 'https://api.example.com/v1/items?page=2' \
  -H 'accept: application/json' \
  -H 'accept-language: nl,en;q=0.9' \
  -b 'session=abc123; theme=dark' \
  -H 'content-type: application/json' \
  -H 'x-api-key: key-123' \
  --data-raw $'{"note":"it\'s \u00e9\\n","n":[1,2.5,null]}' \
  --compressed"""


def test_what_a_browser_copies() -> None:
    found = from_curl(CHROME)
    assert found.params == {
        "url": "https://api.example.com/v1/items?page=2",
        "method": "POST",
        "headers": {
            "accept": "application/json",
            "accept-language": "nl,en;q=0.9",
            "Cookie": "${{ secrets.cookie }}",
            "x-api-key": "${{ secrets.x_api_key }}",
        },
        "body": {"type": "json", "value": {"note": "it's é\n", "n": [1, 2.5, None]}},
    }
    assert found.secrets == {"cookie": "session=abc123; theme=dark", "x_api_key": "key-123"}


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("curl example.com", {"url": "http://example.com"}),
        ("/usr/bin/curl -sSL https://e.com/#frag", {"url": "https://e.com/"}),
        ("curl -XDELETE https://e.com", {"url": "https://e.com", "method": "DELETE"}),
        ("curl -I https://e.com", {"url": "https://e.com", "method": "HEAD"}),
        (
            "curl -d a=1 -d 'b=x y' -d b=2 https://e.com",
            {
                "url": "https://e.com",
                "method": "POST",
                "body": {"type": "raw", "content_type": "application/x-www-form-urlencoded", "text": "a=1&b=x y&b=2"},
            },
        ),
        (
            "curl -da=1 --data-urlencode 'b=x y&z' --data b=2 https://e.com",
            {
                "url": "https://e.com",
                "method": "POST",
                "body": {"type": "form", "fields": {"a": "1", "b": ["x y&z", "2"]}},
            },
        ),
        ("curl -G -d q=1 --data-urlencode 'r=a b' https://e.com/?s=0", {"url": "https://e.com/?s=0&q=1&r=a+b"}),
        (
            """curl --json '{"a": "${{ x }}"}' https://e.com""",
            {
                "url": "https://e.com",
                "method": "POST",
                "headers": {"Accept": "application/json"},
                "body": {"type": "json", "value": {"a": "$${{ x }}"}},
            },
        ),
        (
            "curl -X PUT -H 'Content-Type: text/xml' -d '<a/>' https://e.com",
            {
                "url": "https://e.com",
                "method": "PUT",
                "body": {"type": "raw", "content_type": "text/xml", "text": "<a/>"},
            },
        ),
        (
            "curl -F 'a=1;type=text/x' --form-string 'b=@c;d' https://e.com",
            {
                "url": "https://e.com",
                "method": "POST",
                "body": {
                    "type": "multipart",
                    "parts": [{"name": "a", "content_type": "text/x", "text": "1"}, {"name": "b", "text": "@c;d"}],
                },
            },
        ),
        (
            "curl -u me:pass:word https://e.com",
            {
                "url": "https://e.com",
                "auth": {"type": "basic", "username": "me", "password": "${{ secrets.http_password }}"},
            },
        ),
        (
            "curl https://me:p%40ss@e.com/x@y",
            {
                "url": "https://e.com/x@y",
                "auth": {"type": "basic", "username": "me", "password": "${{ secrets.http_password }}"},
            },
        ),
        (
            "curl -H 'authorization: Bearer tok' https://e.com",
            {"url": "https://e.com", "auth": {"type": "bearer", "token": "${{ secrets.http_token }}"}},
        ),
        (
            "curl -H 'Authorization: Basic bWU6cHc=' https://e.com",
            {
                "url": "https://e.com",
                "auth": {"type": "basic", "username": "me", "password": "${{ secrets.http_password }}"},
            },
        ),
        (
            "curl -k -m 5 --connect-timeout 1.5 --max-redirs 3 -A me -e https://r -r 0-9 https://e.com",
            {
                "url": "https://e.com",
                "headers": {"User-Agent": "me", "Referer": "https://r", "Range": "bytes=0-9"},
                "tls": {"verify": False},
                "timeouts": {"total": 5.0, "connect": 1.5},
                "redirects": {"max": 3},
            },
        ),
        (
            "curl -x proxy:8080 -U u:p https://e.com",
            {"url": "https://e.com", "proxy": "${{ secrets.http_proxy }}"},
        ),
        (
            "curl -H 'X-Empty;' -H 'Accept:' -H 'Host: x' https://e.com",
            {"url": "https://e.com", "headers": {"X-Empty": ""}},
        ),
        ("curl -H 'X: 1' -H 'X: 2' https://e.com", {"url": "https://e.com", "headers": {"X": ["1", "2"]}}),
        ("curl 'http://[2001:db8::1]:80/a'", {"url": "http://[2001:db8::1]:80/a"}),
    ],
)
def test_common_flags(command: str, params: dict[str, Any]) -> None:
    assert from_curl(command).params == params


def test_files_are_read_only_where_they_may_be() -> None:
    with pytest.raises(AICFlowError, match="cannot be read here"):
        from_curl("curl -d @secret.txt https://e.com")
    files = {"a.txt": b"a=1\r\n&b=2\n", "b.bin": b"\xff\x00", "cert.pem": b"CERT", "key.pem": b"KEY"}
    command = "curl -d @a.txt https://e.com"
    assert from_curl(command, read_file=files.__getitem__).params["body"]["fields"] == {"a": "1", "b": "2"}
    command = "curl -F 'f=@b.bin;type=image/png' https://e.com"
    assert from_curl(command, read_file=files.__getitem__).params["body"]["parts"] == [
        {"name": "f", "content_type": "image/png", "filename": "b.bin", "base64": "/wA="}
    ]
    found = from_curl("curl --cert cert.pem:pw --key key.pem -T b.bin https://e.com", read_file=files.__getitem__)
    assert found.params["method"] == "PUT"
    assert found.params["body"] == {"type": "raw", "content_type": "application/octet-stream", "base64": "/wA="}
    assert found.secrets == {"client_cert": "CERT", "client_key_password": "pw", "client_key": "KEY"}


def test_credentials_stay_where_they_are_when_asked() -> None:
    found = from_curl("curl -u me:pw -H 'X-Token: t' https://e.com", inline_secrets=True)
    assert found.params["auth"]["password"] == "pw"
    assert found.params["headers"] == {"X-Token": "t"}
    assert found.secrets == {}


def test_different_secrets_get_different_names() -> None:
    found = from_curl("curl -H 'X-Token: a' -H 'x-token: b' -H 'x_token: a' https://e.com")
    assert found.secrets == {"x_token": "a", "x_token_2": "b"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "does not start with curl"),
        ("wget https://e.com", "does not start with curl"),
        ("curl", "no URL"),
        ("curl https://a.com https://b.com", "2 URLs"),
        ("curl ftp://e.com", "'ftp'"),
        ("curl 'https://e.com", "not closed"),
        ('curl "https://e.com', "not closed"),
        ("curl $'https://e.com", "not closed"),
        ("curl https://e.com | jq .", "single curl command"),
        ("curl https://e.com > file", "single curl command"),
        ("curl https://e.com\nrm -rf x", "second line"),
        ('curl -H "Authorization: Bearer $TOKEN" https://e.com', "the shell would replace"),
        ("curl https://e.com/$(id)", "the shell would replace"),
        ("curl `id`", "the shell would replace"),
        ("curl --digest -u a:b https://e.com", "digest"),
        ("curl --next https://e.com", "--next"),
        ("curl --unix-socket /x http://e.com", "--unix-socket"),
        ("curl -K file", "not read from files"),
        ("curl --hedaer 'a: b' https://e.com", "--hedaer"),
        ("curl -? https://e.com", "-\\?"),
        ("curl https://e.com -H", "needs a value"),
        ("curl -H nocolon https://e.com", "no colon"),
        ("curl -m soon https://e.com", "--max-time needs a number"),
        ("curl -m 1e999 https://e.com", "--max-time needs a number"),
        ("curl -F a https://e.com", "name=value"),
        ("curl -d a -F b=c https://e.com", "cannot go together"),
        ("curl -b cookies.txt https://e.com", "file of cookies"),
        ("curl -X 'GET /x' https://e.com", "method"),
        ("curl -H 'a b: c' https://e.com", "not a header name"),
        ("curl https://e.com:99999/", "URL cannot be read|port"),
    ],
)
def test_what_cannot_be_carried_over(command: str, message: str) -> None:
    with pytest.raises(AICFlowError, match=message):
        from_curl(command)


def test_a_misspelt_option_is_suggested() -> None:
    with pytest.raises(AICFlowError) as caught:
        from_curl("curl --hedaer 'a: b' https://e.com")
    assert caught.value.hint == "Did you mean --header?"


def test_notes_say_what_belongs_elsewhere() -> None:
    notes = from_curl("curl --retry 3 --location-trusted -H 'Host: x' https://e.com").notes
    assert "max_attempts: 4" in notes[0]
    assert len(notes) == 3


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="curl -dHXFuGk'\"\\$@=:;&|{}\n hftps/e.com%{}é0", max_size=80))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(AICFlowError):
        HttpRequestParams.model_validate(from_curl("curl " + text).params)


@settings(max_examples=200, deadline=None)
@given(
    url=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
    header=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20),
    data=st.text(st.characters(codec="utf-8"), max_size=40),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner)
        ),
        max_leaves=5,
    ),
)
def test_quoting_keeps_every_character(url: str, header: str, data: str, value: Any) -> None:
    path = url.partition("#")[0]
    words = [
        "curl",
        f"https://e.com/{path}",
        "-H",
        f"X-Note: {header}",
        "-H",
        "Content-Type: text/x",
        "--data-raw",
        data,
    ]
    found = from_curl(shlex.join(words)).params
    assert found["url"].replace("$${{", "${{") == f"https://e.com/{path}"
    assert found.get("headers", {}).get("X-Note", "").replace("$${{", "${{") == header.strip()
    assert found["body"]["text"].replace("$${{", "${{") == data
    words = ["curl", "https://e.com", "--json", json.dumps(value)]
    assert json.dumps(from_curl(shlex.join(words)).params["body"]["value"]).replace("$${{", "${{") == json.dumps(value)


FULL: dict[str, Any] = {
    "url": "https://e.com/a?b=1",
    "method": "POST",
    "query": {"c": ["x y", 2], "d": None, "e": True},
    "headers": {"X-Note": "it's", "X-Api-Key": "TOPSECRET1"},
    "cookies": {"sid": "TOPSECRET2"},
    "body": {"type": "json", "value": {"a": "é'"}},
    "tls": {"ca": "TOPSECRET3", "client_cert": "TOPSECRET4", "client_key": "TOPSECRET5", "verify": False},
    "proxy": "http://u:TOPSECRET6@proxy:3128",
    "timeouts": {"total": 5},
}


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic", "username": "me", "password": "TOPSECRET7"},
        {"type": "bearer", "token": "TOPSECRET7"},
        {"type": "api_key", "value": "TOPSECRET7"},
        {"type": "api_key", "value": "TOPSECRET7", "location": "query", "name": "key"},
        {"type": "hmac", "secret": "TOPSECRET7"},
        {
            "type": "oauth2_client_credentials",
            "token_url": "https://t",
            "client_id": "me",
            "client_secret": "TOPSECRET7",
        },
    ],
)
def test_an_export_holds_no_credential(auth: dict[str, str]) -> None:
    assert "TOPSECRET" not in to_curl({**FULL, "auth": auth})
    assert "TOPSECRET" not in to_curl({"url": "https://me:TOPSECRET@e.com/x"})


def test_an_export_is_a_command_that_curl_and_we_can_read() -> None:
    text = to_curl({**FULL, "auth": {"type": "bearer", "token": "TOPSECRET7"}})
    command = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    shown = subprocess.run(
        ["sh", "-c", command.replace("curl", "printf '%s\\n'", 1)],
        env={"HTTP_TOKEN": "tok", "X_API_KEY": "key", "COOKIE_SID": "sid"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = shown.stdout.split("\n")
    assert "Authorization: Bearer tok" in words
    assert "X-Api-Key: key" in words
    assert "sid=sid" in words
    assert "X-Note: it's" in words
    assert '{"a": "é\'"}' in words
    assert "https://e.com/a?b=1&c=x y&c=2&e=true" in words


def test_there_and_back_again() -> None:
    params = {
        "url": "https://e.com/a",
        "method": "PUT",
        "headers": {"X-Note": "it's"},
        "body": {"type": "form", "fields": {"a b": "1", "c": ["x&y", "2"]}},
        "redirects": {"max": 3},
        "timeouts": {"connect": 2, "total": 5},
    }
    assert from_curl(to_curl(params)).params == params


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(command.group == "http" for command in aicflow_commands())
    from_curl_command, to_curl_command = (resolve_name(str(command.function)) for command in aicflow_commands())
    from_curl_command("curl -u me:pw https://e.com", format="json")
    said = capsys.readouterr()
    assert json.loads(said.out)["auth"]["password"] == "${{ secrets.http_password }}"
    assert "pw" not in said.err
    assert "'http_password'" in said.err
    (tmp_path / "p.yaml").write_text("url: https://e.com\nauth: {type: bearer, token: abc}\n")
    to_curl_command(tmp_path / "p.yaml")
    assert 'Bearer $HTTP_TOKEN"' in capsys.readouterr().out
    (tmp_path / "bad.yaml").write_text("[: {")
    with pytest.raises(AICFlowError, match="neither JSON nor YAML"):
        to_curl_command(tmp_path / "bad.yaml")
    monkeypatch.setitem(sys.modules, "yaml", None)
    from_curl_command("curl https://e.com")
    assert json.loads(capsys.readouterr().out) == {"url": "https://e.com"}
