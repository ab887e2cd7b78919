"""What senders put into bodies: values for the workflow, or a 4xx that says what is wrong."""

import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from aicflow import JsonError, read_json
from aicflow_trigger.bodies import BodyLimits, decode_body
from aicflow_trigger.errors import BodyRejected
from hypothesis import given, settings
from hypothesis import strategies as st

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"


def rejected(content_type: str | None, body: bytes, **options: Any) -> tuple[int, str]:
    with pytest.raises(BodyRejected) as caught:
        decode_body(content_type, body, **options)
    assert str(caught.value) == caught.value.message
    return caught.value.status, caught.value.message


@pytest.mark.parametrize(
    ("content_type", "body", "kind", "value"),
    [
        ("application/json", b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', "json", {"a": [1, 2.5, None, True, "é"]}),
        ("Application/JSON; charset=UTF-8", b"0", "json", 0),
        ("application/json", b"\xef\xbb\xbf[]", "json", []),
        ("application/cloudevents+json", b'"x"', "json", "x"),
        (FORM, b"a=1&b=two+words&c=%C3%A9&d=", "form", {"a": "1", "b": "two words", "c": "é", "d": ""}),
        (FORM, b"a=1&a=2", "form", {"a": ["1", "2"]}),
        ("text/plain", b"gr\xc3\xbcn", "text", "grün"),
        ("text/plain; charset=ISO-8859-1", b"gr\xfcn", "text", "grün"),
        ("text/plain; charset=cp037", "grün".encode("cp037"), "text", "grün"),
        ("application/json; charset=utf-16", '{"a": "é"}'.encode("utf-16"), "json", {"a": "é"}),
        ("application/json; charset=windows-1252", b'"\x80"', "json", "€"),
        ("text/json", b"[1]", "json", [1]),
        (FORM + "; charset=iso-8859-1", b"caf%E9=Ren\xe9", "form", {"café": "René"}),
        (FORM, b"_charset_=iso-8859-1&a=Ren%E9", "form", {"_charset_": "iso-8859-1", "a": "René"}),
        (None, b' {"a": 1}', "json", {"a": 1}),
        (None, b"{a: 1}", "text", "{a: 1}"),
        (None, b"12", "text", "12"),
        ('text/csv; charset="utf-16"', "a,b".encode("utf-16"), "text", "a,b"),
        ("application/xml", b"<a/>", "text", "<a/>"),
        ("image/png", b"\x89P", "bytes", {"base64": "iVA=", "size": 2, "content_type": "image/png"}),
        (None, b"\x00", "bytes", {"base64": "AA==", "size": 1, "content_type": "application/octet-stream"}),
        ("application/json", b"", "empty", None),
        (None, b"", "empty", None),
    ],
)
def test_what_comes_through(content_type: str | None, body: bytes, kind: str, value: Any) -> None:
    decoded = decode_body(content_type, body)
    assert (decoded.kind, decoded.value) == (kind, value)
    json.dumps(decoded.value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "line 1, column 2"),
        (b'{"a": 1}\n{"b": 2}', "line 2, column 1"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'[{"x": {"caf\xc3\xa9": 1, "caf\xc3\xa9": 2}}]', "duplicate key 'caf\\xe9'"),
        (b"NaN", "NaN, which is not JSON"),
        (b"[-Infinity]", "-Infinity, which is not JSON"),
        (b"1e999", "too large for a float"),
        (b"-" + b"1" * 4301, "more than 4,300 digits"),
        (b"1" * 400 + b".5", "too large for a float"),
        (b"\xff", "not UTF-8 at byte 0"),
        ('"x"'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'"a\tb"', "control character"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64"),
        (b" ", "line 1, column 2"),
    ],
)
def test_json_that_two_readers_could_take_differently_is_refused(body: bytes, message: str) -> None:
    status, said = rejected("application/json", body)
    assert status == 400
    assert message in said


def test_json_at_its_limits_is_taken() -> None:
    assert read_json(b"1" + b"0" * 4299) == 10**4299
    assert read_json(b"[" * 64 + b"]" * 64)
    assert read_json(b'"\\ud83d\\ude00 \\u00e9"') == "😀 é"
    assert read_json(b"[" + b",".join([b"{}"] * 5_000) + b"]") == [{}] * 5_000
    assert read_json(b'[[],[],{"a":[1]}]', max_depth=3)
    with pytest.raises(JsonError):
        read_json(b'[[],[],{"a":[1]}]', max_depth=2)


def test_a_multipart_form_with_fields_and_files() -> None:
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="title"\r\n\r\nHello \xe2\x98\x83\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="tag"\r\n\r\na\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="tag"\r\n\r\nb\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="doc"; filename="caf\xc3\xa9 \\"1\\".bin"\r\n'
        b"Content-Type: application/x-thing\r\n\r\n\x00\r\n--X\xff\r\n--XX--\r\n"
    )
    decoded = decode_body(MULTIPART, body)
    assert decoded.kind == "multipart"
    assert decoded.value == {"title": "Hello ☃", "tag": ["a", "b"]}
    assert decoded.files_as_json() == [
        {
            "field": "doc",
            "filename": 'café "1".bin',
            "content_type": "application/x-thing",
            "size": 7,
            "base64": base64.b64encode(b"\x00\r\n--X\xff").decode(),
        }
    ]


def part(head: bytes, data: bytes = b"\x00\xff") -> dict[str, Any]:
    decoded = decode_body(MULTIPART, b"--XX\r\n" + head + b"\r\n\r\n" + data + b"\r\n--XX--\r\n")
    return {**decoded.files_as_json()[0]} if decoded.files else {"value": decoded.value}


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b"name=f; filename=\"=?utf-8?B?csOpc3Vtw6kucGRm?=\"; filename*=utf-8''r%C3%A9sum%C3%A9.pdf", "résumé.pdf"),
        (b'name=f; filename="=?utf-8?B?csOpc3Vtw6kucGRm?="', "résumé.pdf"),
        (b'name=f; filename="=?iso-8859-1?Q?r=E9sum=E9.pdf?="', "résumé.pdf"),
        (b"name=f; filename*=iso-8859-1'fr'r%E9sum%E9.pdf; filename=x", "résumé.pdf"),
        (b"name=f; filename=r\xc3\xa9sum\xc3\xa9.pdf", "résumé.pdf"),
        (b'name=f; filename="=?no-such?B?eA==?="', "=?no-such?B?eA==?="),
        (b'name=f; filename="a;b=\\"c\\".txt"', 'a;b="c".txt'),
        (b'name=f; filename=""', ""),
        (b"name=f", ""),
    ],
)
def test_file_names_in_every_form_that_senders_use(disposition: bytes, filename: str) -> None:
    head = b"Content-Disposition: form-data; " + disposition + b"\r\nContent-Type: application/octet-stream"
    assert part(head) == {
        "field": "f", "filename": filename, "content_type": "application/octet-stream", "size": 2, "base64": "AP8=",
    }  # fmt: skip


def test_parts_without_a_name_or_a_file_name_are_kept() -> None:
    assert part(b"Content-Type: image/png")["field"] == ""
    assert part(b"Content-Disposition: form-data", b"x") == {"value": {"": "x"}}
    assert part(b"Content-Disposition: form-data; name=a\r\nContent-Type: application/json", b"{}") == {
        "value": {"a": "{}"}
    }
    latin = b"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=latin-1"
    assert part(latin, b"Ren\xe9") == {"value": {"a": "René"}}
    whole = (
        b"--XX\r\nContent-Disposition: form-data; name=_charset_\r\n\r\nlatin-1\r\n"
        b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nRen\xe9\r\n--XX--"
    )
    assert decode_body(MULTIPART, whole).value == {"_charset_": "latin-1", "a": "René"}


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("multipart/form-data", b"--XX--\r\n", "no boundary"),
        ("multipart/form-data; boundary=", b"x", "no boundary"),
        ("multipart/form-data; boundary=" + "x" * 71, b"x", "1 to 70"),
        (MULTIPART, b"hello", "malformed"),
        (MULTIPART, b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nx', "cut off"),
        (MULTIPART, b"--XX\r\nContent-Disposition: attachment\r\n\r\nx\r\n--XX--", "not form-data"),
        (MULTIPART, b"--XX\r\nContent-Disposition: form-data; filename*=utf-8''%E9\r\n\r\nx\r\n--XX--", "not utf-8"),
        (MULTIPART, b"--XX\r\nContent-Disposition: form-data; filename*=no'x'%E9\r\n\r\nx\r\n--XX--", "not no"),
        (
            MULTIPART,
            b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--XX--',
            "field 'a' is not UTF-8",
        ),
        (MULTIPART, b'--XX\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\r\n--XX--', "not UTF-8"),
        (
            MULTIPART,
            b'--XX\r\nContent-Disposition: form-data; name="a"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\nAA==\r\n--XX--",
            "Content-Transfer-Encoding",
        ),
        (MULTIPART, b"--XX\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(9)) + b"\r\n\r\n--XX--", "header count"),
        (MULTIPART, b"--XX\r\nA: " + b"b" * 5_000 + b"\r\n\r\n\r\n--XX--", "header size"),
    ],
)
def test_multipart_forms_that_are_refused(content_type: str, body: bytes, message: str) -> None:
    status, said = rejected(content_type, body)
    assert status == 400
    assert message in said


def test_limits_are_413() -> None:
    assert rejected("text/plain", b"12345", limits=BodyLimits(max_bytes=4))[0] == 413
    assert decode_body("text/plain", b"1234", BodyLimits(max_bytes=4)).value == "1234"
    assert rejected(FORM, b"a=1&" * 1_000)[0] == 413
    part = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    assert rejected(MULTIPART, part * 101 + b"--XX--")[0] == 413
    assert decode_body(MULTIPART, part * 100 + b"--XX--").value == {"a": [""] * 100}


def test_types_and_encodings_that_are_not_taken_are_415() -> None:
    assert "send form, json" in rejected("text/plain", b"x", accept=["json", "form"])[1]
    assert rejected("text/plain", b"", accept=["json"]) == (400, "the body is empty; send json")
    assert decode_body("text/plain", b"", accept=["json", "empty"]).value is None
    assert rejected("text/plain; charset=rot13", b"x")[0] == 415
    assert rejected("application/json; charset=base64", b"1")[0] == 415
    assert rejected("application/json; charset=ascii", b'"\xe9"') == (400, "the JSON body is not ascii at byte 1")
    assert rejected("text/plain", b"x", content_encoding="br")[0] == 415
    assert rejected("text/plain; charset=us-ascii", b"\xe9") == (400, "the text is not us-ascii at byte 0")
    assert rejected(FORM, b"a=%ff") == (400, "the form is not UTF-8 at byte 0, and no charset is declared")


def test_compressed_bodies_are_opened_as_far_as_the_limit() -> None:
    body = b'{"a": 1}'
    for encoding, packed in (("gzip", gzip.compress(body)), ("Deflate", zlib.compress(body))):
        assert decode_body("application/json", packed, content_encoding=encoding).value == {"a": 1}
        assert "cut off" in rejected("application/json", packed[:-3], content_encoding=encoding)[1]
        assert rejected("application/json", packed + b"x", content_encoding=encoding)[0] == 400
        assert rejected("application/json", b"x" + packed, content_encoding=encoding)[0] == 400
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    found = rejected("text/plain", bomb, limits=BodyLimits(max_bytes=1_048_576), content_encoding="gzip")
    assert found == (413, "the body is larger than 1048576 bytes")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


TYPES = st.sampled_from(
    [
        *("application/json", FORM, MULTIPART, "multipart/form-data; boundary=a", "text/plain", "text/x; charset=gbk"),
        *("text/plain; charset=utf-16", "multipart/form-data; boundary=\u00e9", "", "image/gif", 'a/b; c="', ";;;=;"),
    ]
)
MULTIPART_PIECES = st.lists(
    st.sampled_from(
        [
            *(b"--XX", b"--XX--", b"\r\n", b"\r\n\r\n", b"Content-Disposition: form-data", b'; name="a"', b"; name=a"),
            *(b'; filename="f"', b"; filename*=utf-8''x", b"Content-Type: x", b"\xff", b"data", b":", b"\r", b"\n"),
        ]
    ),
    max_size=14,
).map(b"".join)
JSON_PIECES = st.lists(
    st.sampled_from([*'{}[]",:0.-+eE1 \\', "\\u", "d800", "NaN", "true", "null", '"a"', "\ud800", "é"]), max_size=20
).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))


@settings(max_examples=500, deadline=None)
@given(
    content_type=TYPES | st.text(max_size=30) | st.none(),
    body=MULTIPART_PIECES | JSON_PIECES | st.binary(max_size=60),
    encoding=st.sampled_from([None, None, None, "gzip", "deflate", "identity", "x"]),
)
def test_whatever_comes_is_a_json_value_or_a_4xx(content_type: str | None, body: bytes, encoding: str | None) -> None:
    try:
        decoded = decode_body(content_type, body, content_encoding=encoding)
    except BodyRejected as refusal:
        status = refusal.status
    else:
        status = 200
        json.dumps([decoded.value, decoded.files_as_json()], ensure_ascii=False, allow_nan=False).encode()
    assert status in (200, 400, 413, 415)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda child: st.lists(child, max_size=4) | st.dictionaries(st.text(), child, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_comes_back_as_it_was_written(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
