"""User names, passwords and API keys."""

import base64

import pytest
from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError
from aicflow_trigger.signatures import verify_api_key, verify_basic
from hypothesis import given
from hypothesis import strategies as st


def basic(credentials: str, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} {base64.b64encode(credentials.encode()).decode()}"}


def test_the_examples_of_the_standard() -> None:
    # RFC 7617, sections 2 and 2.1 (UTF-8).
    verify_basic("Aladdin", ["open sesame"], {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="})
    verify_basic("test", ["123£"], {"Authorization": "Basic dGVzdDoxMjPCow=="})


def test_the_scheme_is_of_any_case_and_a_password_may_hold_colons() -> None:
    verify_basic("ann", ["a:b:c"], basic("ann:a:b:c", "bAsIc"))
    verify_basic("ann", ["new", "old"], basic("ann:old"))
    verify_basic("ann", ["new", "old"], basic("ann:new"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic é"},
        {"Authorization": "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        basic("Aladdin:open sesam"),
        basic("Aladdin:open sesame "),
        basic("aladdin:open sesame"),
        basic("Aladdin"),
        basic(""),
    ],
)
def test_wrong_or_malformed_credentials_are_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureRejected):
        verify_basic("Aladdin", ["open sesame"], headers)


def test_a_colon_in_the_user_name_would_be_ambiguous() -> None:
    with pytest.raises(SignatureSettingsError, match="colon"):
        verify_basic("a:b", ["c"], basic("a:b:c"))


def test_api_keys_in_a_header_of_their_own_or_as_bearer() -> None:
    verify_api_key("X-API-Key", ["k1", "k2"], {"x-api-key": "k2"})
    verify_api_key("Authorization", ["k1"], {"authorization": "bearer k1"}, prefix="Bearer ")
    verify_api_key("X-API-Key", ["schlüssel"], {"x-api-key": "schlüssel".encode().decode("latin-1")})
    for wrong in ("k", "k11", "K1", "Bearer k1", "é", "\ud800", ""):
        with pytest.raises(SignatureRejected):
            verify_api_key("X-API-Key", ["k1"], {"x-api-key": wrong})
    with pytest.raises(SignatureRejected, match="does not begin with Bearer"):
        verify_api_key("Authorization", ["k1"], {"authorization": "k1"}, prefix="Bearer ")
    with pytest.raises(SignatureSettingsError):
        verify_api_key("X-API-Key", [""], {"x-api-key": ""})


@given(st.dictionaries(st.sampled_from(["authorization", "Authorization", "x-api-key"]), st.text(max_size=30)))
def test_any_header_is_at_most_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureRejected):
        verify_basic("Aladdin", ["a long password nobody guesses"], headers)
    with pytest.raises(SignatureRejected):
        verify_api_key("X-API-Key", ["a long key that nobody guesses"], headers)
