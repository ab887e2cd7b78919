"""Data in URLs: it fills its place and never moves the request elsewhere. Checked against a real URL parser."""

from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from aicflow_language.template import ResolutionError, compile_template
from hypothesis import given, settings
from hypothesis import strategies as st

URL = {"type": "string", "x-aicflow": {"kind": "url"}}


def resolve(template, **values):
    return compile_template(template, URL).resolve({"input": values, "vars": values})


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("https://h.example/o/${{ input.v }}", 42, "https://h.example/o/42"),
        ("https://h.example/o/${{ input.v }}", "a b/c?d#e%f", "https://h.example/o/a%20b%2Fc%3Fd%23e%25f"),
        ("https://h.example/o/${{ input.v }}", "é日", "https://h.example/o/%C3%A9%E6%97%A5"),
        ("https://h.example/o/x-${{ input.v }}.json", "..", "https://h.example/o/x-...json"),
        ("https://h.example/?q=${{ input.v }}&r=1", "a&b=c+d", "https://h.example/?q=a%26b%3Dc%2Bd&r=1"),
        ("https://h.example?${{ input.v }}=1", "k&l", "https://h.example?k%26l=1"),
        ("https://h.example#${{ input.v }}", "a#b", "https://h.example#a%23b"),
        ("/relative/${{ input.v }}", "a/b", "/relative/a%2Fb"),
        ("https://h.example/${{ input.v }}", True, "https://h.example/true"),
        ("${{ input.v }}", "https://any.example/x?y#z", "https://any.example/x?y#z"),
        ("${{ input.v }}/orders", "https://h.example/v1", "https://h.example/v1/orders"),
        (" ${{ input.v }}/orders", "https://h.example", " https://h.example/orders"),
        ("${{ input.v }}://h.example/", "https", "https://h.example/"),
        ("${{ input.v }}:8443/x", "https://h.example", "https://h.example:8443/x"),
        ("https://${{ input.v }}/x", "h.example", "https://h.example/x"),
        ("https://${{ input.v }}", "h.example", "https://h.example"),
        ("https://${{ input.v }}:80/", "h.example", "https://h.example:80/"),
        ("https://${{ input.v }}.h.example/", "a.b", "https://a.b.h.example/"),
        ("https://node-${{ input.v }}/", "7", "https://node-7/"),
        ("https://api.${{ input.v }}/", "h.example", "https://api.h.example/"),
        ("https://h.example:${{ input.v }}/", 8080, "https://h.example:8080/"),
        ("https://h.example${{ input.v }}", "/a b/c?d#e", "https://h.example/a%20b/c%3Fd%23e"),
        ("http://127.0.0.1:8700${{ input.v }}/x", "/echo", "http://127.0.0.1:8700/echo/x"),
        ("${{ vars.v }}${{ '/a' }}", "https://h.example", "https://h.example/a"),
        ("https://${{ input.v }}:x@h.example/", "a@b:c/", "https://a%40b%3Ac%2F:x@h.example/"),
        ("no expression at all", None, "no expression at all"),
    ],
)
def test_data_fills_its_place(template, value, expected):
    assert resolve(template, v=value) == expected


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("https://h.example${{ input.v }}", ".evil.example"),
        ("https://h.example${{ input.v }}", "@evil.example"),
        ("https://h.example${{ input.v }}", "evil"),
        ("https://api.${{ input.v }}/x", "/orders"),
        ("https://h.example${{ input.v }}.internal/x", "/orders"),
        ("https://h.example:${{ input.v }}", "/orders"),
        ("https://h.example${{ input.v }}", "/a/../b"),
        ("https://h.example${{ input.v }}/x", "/.."),
        ("https://h.example${{ input.v }}/x", ":80"),
        ("https://h.example:${{ input.v }}/", "80@evil.example"),
        ("https://h.example:${{ input.v }}/", "https"),
        ("https://h.example:80${{ input.v }}/", "80"),
        ("https://${{ input.v }}.h.example/", "evil.example/"),
        ("https://${{ input.v }}.h.example/", "evil.example?"),
        ("https://${{ input.v }}.h.example/", "evil.example#"),
        ("https://${{ input.v }}.h.example/", "user@evil"),
        ("https://${{ input.v }}.h.example/", "evil.example\\"),
        ("https://${{ input.v }}.h.example/", "evil／example"),
        ("https://${{ input.v }}.h.example/", ""),
        ("https://${{ input.v }}/", ""),
        ("https://${{ input.v }}/", "h.example:80"),
        ("https://${{ input.v }}com/", "evil."),
        ("https://node-${{ input.v }}/", "1.evil.example"),
        ("http${{ input.v }}", "://evil.example"),
        ("${{ input.v }}://h.example/", "https://evil.example"),
        ("https://h.example/${{ input.v }}", ".."),
        ("https://h.example/a/${{ input.v }}/b", "."),
        ("https://h.example/a/.${{ input.v }}/b", "."),
        ("https://h.example/a/%2e${{ input.v }}?x", "."),
        ("https://h.example/a/${{ input.v }}.", "."),
        ("https://h.example/a/${{ input.v }}#x", ".."),
        ("${{ input.v }}", "https://h.example/\r\nX: y"),
        ("${{ input.v }}/x", "https://h.example\n"),
        ("https://h.example/${{ input.v }}", "\ud800"),
    ],
)
def test_data_that_would_lead_elsewhere_is_refused(template, value):
    with pytest.raises(ResolutionError) as raised:
        resolve(template, v=value)
    assert raised.value.code == "template.url"
    assert raised.value.hint
    start, end = raised.value.span
    assert template[start:end].startswith("${{")


def test_the_base_may_be_followed_by_more_data():
    assert resolve("${{ vars.b }}/a/${{ input.v }}?k=${{ input.v }}", b="https://h.example/v1?", v="x/y") == (
        "https://h.example/v1?/a/x%2Fy?k=x%2Fy"
    )
    assert resolve("${{ vars.b }}/${{ input.v }}", b="https://h.example", v="x/y") == "https://h.example/x%2Fy"
    with pytest.raises(ResolutionError) as raised:
        resolve("${{ vars.b }}${{ input.v }}", b="https://h.example", v=".evil.example")
    assert raised.value.span == (13, 27)


def test_neighbours_in_a_segment_cannot_conspire():
    with pytest.raises(ResolutionError):
        resolve("https://h.example/a/${{ input.v }}${{ input.v }}/b", v=".")
    with pytest.raises(ResolutionError):
        resolve("https://${{ input.v }}${{ vars.w }}/", v="evil.", w="example")


def test_null_and_objects_are_no_part_of_a_url():
    for value, code in ((None, "template.null"), ([1], "template.object")):
        with pytest.raises(ResolutionError) as raised:
            resolve("https://h.example/${{ input.v }}", v=value)
        assert raised.value.code == code


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=20), st.text(max_size=10))
def test_whatever_the_data_the_shape_of_the_url_stays(value, other):
    template = compile_template(
        "https://user@h.example:8443/a/${{ input.v }}/b?q=${{ input.w }}&r=1#${{ input.v }}", URL
    )
    try:
        url = template.resolve({"input": {"v": value, "w": other}})
    except ResolutionError as error:
        assert error.code == "template.url"  # noqa: PT017
        assert value in (".", "..") or not (value + other).isascii()
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "user@h.example:8443")
    segments = parts.path.split("/")
    assert segments[:2] == ["", "a"]
    assert segments[3:] == ["b"]
    assert unquote(segments[2]) == value
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {"q": [other], "r": ["1"]}
    assert unquote(parts.fragment) == value


@settings(max_examples=300, deadline=None, database=None)
@given(
    st.text(alphabet="ab.:/@?#\\-%[]é\t ", max_size=8),
    st.sampled_from(
        [
            "https://h.example${{ input.v }}/p",
            "https://${{ input.v }}.h.example/p",
            "https://x.h.example:${{ input.v }}/p",
        ]
    ),
)
def test_whatever_the_data_the_host_stays_in_the_domain(value, template):
    try:
        url = resolve(template, v=value)
    except ResolutionError:
        return
    parts = urlsplit(url)
    assert parts.hostname == "h.example" or parts.hostname.endswith(".h.example")
    assert parts.username is None
    path = value if value.startswith("/") and template.startswith("https://h.example$") else ""
    assert parts.path == quote(path) + "/p"
