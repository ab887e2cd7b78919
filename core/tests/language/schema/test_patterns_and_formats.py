"""Patterns that would stop a process elsewhere, and the formats that are asserted."""

from __future__ import annotations

import pytest
from aicflow.language.schema import SchemaValidator, check
from aicflow.language.schema.patterns import PatternError, compile_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(a+)+$",
        r"^(a|a)*$",
        r"^(a|aa)+$",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        r"(.*)*(.*)*(.*)*x",
        r"^(a?){30}a{30}$",
        r"^(\w+\s?)*$",
        r"\s+$",
        r".*.*.*.*=.*",
        r"^((((a*)*)*)*)*$",
    ],
)
def test_patterns_that_backtrack_for_ever_elsewhere_end_here(pattern: str) -> None:
    found = compile_pattern(pattern)
    for text in ("a" * 50_000 + "!", " " * 50_000 + "!", "a " * 25_000 + "!\n"):
        assert found(text) is False or pattern.endswith("a{30}$") is False


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (r"^[a-z0-9]+(-[a-z0-9]+)*$", "a-slug-of-words" * 500, "a--slug" + "-x" * 500),
        (r"^(\d{1,3}\.){3}\d{1,3}$", "127.0.0.1", "127.0.0"),
        (r"^(?<year>\d{4})-(?<month>\d\d)$", "2026-11", "2026-1"),
        (r"(?i)^yes$", "YES", "no"),
        (r"[[\]$]", "$", "x"),
        (r"^\p{L}+$", "café", "caf3"),
        (r"\bcat\b", "a cat!", "concatenate"),
        ("é$", "café", "cafe"),
    ],
)
def test_patterns_people_write(pattern: str, fits: str, fails: str) -> None:
    assert check({"pattern": pattern}) == []
    found = compile_pattern(pattern)
    assert found(fits)
    assert not found(fails)


def test_the_end_is_the_end() -> None:
    assert not SchemaValidator({"pattern": "^[a-z]+$"}).is_valid("abc\n")
    assert SchemaValidator({"pattern": "a\\$$"}).is_valid("a$")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(a", "not a regular expression"),
        (r"^(?=.*[A-Z])(?=.*\d).{8,}$", "look-around"),
        (r"^((a+)+)\1$", "back-references"),
        (r"^(?!.*secret)", "look-around"),
        ("a" * 2001, "at most 2,000 characters"),
        ("a{99999999999999999999}", "not a regular expression"),
    ],
)
def test_patterns_that_are_refused(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words.replace("(", r"\(")):
        compile_pattern(pattern)
    assert check({"pattern": pattern})


@pytest.mark.parametrize(
    "pattern", ["(?:(?:(?:){9999}){9999}){9999}", "(((a{1,9}){99}){99}){99}", "(a{50}){50}", "(a{9}){99999}"]
)
def test_counted_repetitions_do_not_multiply(pattern: str) -> None:
    try:
        found = compile_pattern(pattern)
    except PatternError:
        return
    found("b" * 1_000)


def test_a_long_text_is_searched_in_time_that_grows_with_it() -> None:
    found = compile_pattern("^(a|b)*a(a|b){14}c$")
    assert not found("".join("ab"[(index * index // 7) % 2] for index in range(20_000)))
    everything = "".join(chr(code) for code in range(32, 50_000))
    assert not compile_pattern(r"^(\w|\W)*\d{23}!$")(everything)


@pytest.mark.parametrize(
    ("name", "fits", "fails"),
    [
        (
            "date",
            ["2026-02-28", "2024-02-29", "0000-02-29"],
            ["2026-02-29", "2026-13-01", "2026-1-1", "2026-01-01T", "٢٠٢٦-01-01"],
        ),
        (
            "time",
            ["12:00:00Z", "23:59:60Z", "12:00:00.25+01:30", "00:29:60+00:30"],
            ["12:00:00", "24:00:00Z", "12:00:60Z", "12:00Z"],
        ),
        (
            "date-time",
            ["2026-11-23T06:30:00Z", "2026-11-23t06:30:00.1-08:00"],
            ["2026-11-23", "2026-11-23 06:30:00Z", "2026-11-23T06:30:00", ""],
        ),
        (
            "email",
            ["a@b", "first.last+tag@sub.example.org"],
            ["a", "@b", "a@", "a b@c", ".a@b", "a..b@c", "a@-b", "a@b\n"],
        ),
        (
            "uri",
            ["https://u:p@example.org:80/a?b#c", "urn:x:y", "http://[::1]/", "mailto:a@b"],
            ["/a", "example.org", "http://a b", "http://[::1", "http://a:b", "x:%zz", "http://é"],
        ),
        (
            "uuid",
            ["6BA7b810-9dad-11d1-80b4-00c04fd430c8"],
            ["6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c", ""],
        ),
        ("ipv4", ["127.0.0.1"], ["127.0.0", "256.0.0.1", "01.2.3.4", "127.0.0.1/8", "١.2.3.4"]),
        ("ipv6", ["::1", "::ffff:1.2.3.4"], ["1.2.3.4", "fe80::1%eth0", ":::", "12345::"]),
    ],
)
def test_formats(name: str, fits: list[str], fails: list[str]) -> None:
    validator = SchemaValidator({"format": name})
    assert [text for text in fits if not validator.is_valid(text)] == []
    assert [text for text in fails if validator.is_valid(text)] == []
    assert validator.is_valid(3)
    assert SchemaValidator({"format": name}, formats=False).is_valid("anything")


def test_other_formats_only_describe() -> None:
    assert SchemaValidator({"format": "regex"}).is_valid("(")
    assert SchemaValidator({"format": "password"}).is_valid("x")
