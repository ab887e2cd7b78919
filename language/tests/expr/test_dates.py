"""Times: the same as datetime and zoneinfo compute, the clocks put forward and back, and nothing that hangs."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from aicflow_language.expr import EvaluationError, compile_expression

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")


def value(source, **given):
    return compile_expression(source).evaluate({"input": given})


def text(time):
    return time.isoformat().replace("+00:00", "Z")


def some_time(random_):
    zone = ZoneInfo(random_.choice(ZONES))
    seconds = random_.randrange(-1_000_000_000, 4_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone), zone


def test_as_datetime_and_zoneinfo_compute(fuzz_examples):
    chance = random.Random(1)
    for _ in range(fuzz_examples):
        time, zone = some_time(chance)
        other, _ = some_time(chance)
        assert value("parse_time(input.t)", t=text(time)) == text(time)
        assert value("zone(input.t, input.z)", t=text(time), z=other.tzinfo.key) == text(time.astimezone(other.tzinfo))
        hours = chance.randrange(-5_000, 5_000)
        later = (time.astimezone(UTC) + timedelta(hours=hours)).astimezone(zone)
        source = "add_time(input.t, input.n, 'hours', input.z)"
        assert value(source, t=text(time), n=hours, z=zone.key) == text(later)
        seconds = (time.astimezone(UTC) - other.astimezone(UTC)).total_seconds()
        assert value("difference(input.a, input.b)", a=text(time), b=text(other)) == seconds
        days = chance.randrange(-5_000, 5_000)
        wall = (time.replace(tzinfo=None, fold=0) + timedelta(days=days)).replace(tzinfo=zone)
        expected = text(time) if days == 0 else text(wall.astimezone(UTC).astimezone(zone))
        assert value("add_time(input.t, input.n, 'days', input.z)", t=text(time), n=days, z=zone.key) == expected


def test_formats_are_those_of_strftime_and_strptime(fuzz_examples):
    chance = random.Random(2)
    written = "%Y|%y|%m|%d|%H|%I|%M|%S|%f|%p|%j|%u|%V|%G|%a|%A|%b|%B|%z|%%"
    read = ("%d.%m.%Y %H:%M:%S %z", "%b %d, %Y %I:%M:%S %p %z", "%A, %d %B %Y %H%M%S.%f%z", "%y%m%d%H%M%S%z")
    for _ in range(fuzz_examples):
        time, _ = some_time(chance)
        given = text(time.replace(microsecond=chance.choice((0, 5, 123_456))))
        time = datetime.fromisoformat(given)
        if time.year < 1970:  # %y means another century
            continue
        assert value("format_time(input.t, input.f)", t=given, f=written) == time.strftime(written)
        layout = chance.choice(read)
        said = time.strftime(layout)
        expected = datetime.strptime(said, layout)
        assert (
            value("parse_time(input.t, input.f)", t=said, f=layout) == text(expected.astimezone(UTC))
            or value("difference(parse_time(input.t, input.f), input.e)", t=said, f=layout, e=text(expected)) == 0
        )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # clocks put forward on 29 March 2026 in Berlin, from 02:00 to 03:00
        ("parse_time('2026-03-29 02:30', null, 'Europe/Berlin')", "2026-03-29T03:30:00+02:00"),
        ("add_time('2026-03-28T02:30:00+01:00', 1, 'day', 'Europe/Berlin')", "2026-03-29T03:30:00+02:00"),
        ("add_time('2026-03-28T02:30:00+01:00', 24, 'hours', 'Europe/Berlin')", "2026-03-29T03:30:00+02:00"),
        ("add_time('2026-03-28T12:00:00+01:00', 1, 'day', 'Europe/Berlin')", "2026-03-29T12:00:00+02:00"),
        # clocks put back on 25 October 2026, from 03:00 to 02:00: 02:30 is there twice
        ("parse_time('2026-10-25 02:30', null, 'Europe/Berlin')", "2026-10-25T02:30:00+02:00"),
        ("add_time('2026-10-25T02:30:00+02:00', 1, 'hour', 'Europe/Berlin')", "2026-10-25T02:30:00+01:00"),
        ("add_time('2026-10-25T02:30:00+01:00', 0, 'days', 'Europe/Berlin')", "2026-10-25T02:30:00+01:00"),
        ("difference('2026-10-26T00:00:00+01:00', '2026-10-25T00:00:00+02:00', 'hours')", 25),
        # months and leap days
        ("add_time('2026-01-31T10:00:00Z', 1, 'month')", "2026-02-28T10:00:00Z"),
        ("add_time('2024-02-29T10:00:00Z', 1, 'year')", "2025-02-28T10:00:00Z"),
        ("add_time('2026-03-31T10:00:00Z', -13, 'months')", "2025-02-28T10:00:00Z"),
        ("add_time('2026-01-01T00:00:00Z', 1.5, 'hours')", "2026-01-01T01:30:00Z"),
        # other forms
        ("parse_time(0)", "1970-01-01T00:00:00Z"),
        ("parse_time('2026-01-31')", "2026-01-31T00:00:00Z"),
        ("parse_time('1/2/2026', '%d/%m/%Y')", "2026-02-01T00:00:00Z"),
        ("parse_time('1767225600', '%s')", "2026-01-01T00:00:00Z"),
        ("format_time('2026-01-31T23:30:00Z', '%Y-%m-%d', 'Asia/Kolkata')", "2026-02-01"),
        ("difference('2026-02-01', '2026-01-31', 'days')", 1),
        ("difference('2026-01-01T12:00:00Z', '2026-01-01', 'days')", 0.5),
        ("zone('2026-01-01T00:00:00Z', 'Europe/Berlin')", "2026-01-01T01:00:00+01:00"),
        ("'2026-01-01' < parse_time('2026-01-02')", True),
    ],
)
def test_clocks_calendars_and_forms(source, expected):
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("parse_time('tomorrow')", "eval.value", "not a time"),
        ("parse_time('2026-02-30')", "eval.value", "no such time"),
        ("parse_time('2026-01-01T25:00Z')", "eval.value", "no such time"),
        ("parse_time('2026-01-01', '%d.%m.%Y')", "eval.value", "does not fit"),
        ("parse_time('x', '%H:%M')", "eval.value", "needs a year"),
        ("parse_time('x', '%Y%Y-%m-%d')", "eval.value", "twice"),
        ("parse_time('x', '%Q')", "eval.value", "cannot be read"),
        ("parse_time('13 PM 2026-01-01', '%I %p %Y-%m-%d')", "eval.value", "no such time"),
        ("parse_time(true)", "eval.type", "text"),
        ("parse_time(10000000000000)", "eval.overflow", "1 to 9999"),
        ("format_time('2026-01-01', '%Q')", "eval.value", "directive"),
        ("add_time('9999-12-31', 1, 'days')", "eval.overflow", "1 to 9999"),
        ("add_time('0001-01-01', -1, 'months')", "eval.overflow", "1 to 9999"),
        ("add_time('2026-01-01', 1.5, 'days')", "eval.value", "whole number"),
        ("add_time('2026-01-01', 1, 'fortnight')", "eval.value", "no such unit"),
        ("difference('2026-01-01', '2025-01-01', 'months')", "eval.value", "differ in length"),
        ("zone('2026-01-01', 'Europe/Berln')", "eval.value", "no such time zone"),
        ("zone('2026-01-01', 'Europe')", "eval.value", "no such time zone"),
        ("zone('2026-01-01', '../../etc/passwd')", "eval.value", "no such time zone"),
        ("zone('0001-01-01', 'America/New_York')", "eval.overflow", "1 to 9999"),
    ],
)
def test_what_is_no_time_is_refused(source, code, said):
    with pytest.raises(EvaluationError) as raised:
        value(source)
    assert raised.value.code == code
    assert said in raised.value.message


def test_a_misspelt_zone_has_a_hint():
    with pytest.raises(EvaluationError) as raised:
        value("zone('2026-01-01', 'Europe/Berln')")
    assert raised.value.hint == "Did you mean 'Europe/Berlin'?"


def test_nothing_but_values_and_errors_comes_of_anything(fuzz_examples):
    chance = random.Random(3)
    pieces = [
        "2026",
        "-",
        "01",
        "T",
        ":",
        "30",
        "Z",
        "+",
        "00",
        ".",
        "%Y",
        "%m",
        "%d",
        "%s",
        "%",
        "é",
        "9" * 30,
        " ",
        "٣",
    ]
    for _ in range(fuzz_examples):
        given = ["".join(chance.choices(pieces, k=chance.randrange(12))) for _ in range(2)]
        number = chance.choice([0, 1, -(10**30), 1e308, 0.1, True, None])
        for source in (
            "parse_time(input.a, input.b)",
            "parse_time(input.n)",
            "format_time(input.a, input.b)",
            "format_time('2026-01-01', input.b)",
            "add_time('2026-01-01', input.n, 'months')",
            "add_time('2026-01-01', input.n, 'hours')",
            "zone(input.a, input.b)",
        ):
            with suppress(EvaluationError):
                assert isinstance(value(source, a=given[0], b=given[1], n=number), str)
