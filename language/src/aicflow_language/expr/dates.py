"""The functions on times: instants as RFC 3339 text, time zones by their IANA names. There is no `now()`: an expression
computes the same whenever it is computed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from aicflow_language.expr.calls import Site, function
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.limits import Frame
from aicflow_language.expr.operators import is_number
from aicflow_language.suggest import did_you_mean

_COST: Final = 64
"""Fuel for one function on times."""
_LONGEST: Final = 100
"""Characters of a time, and of a format."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)? ?([Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_FIXED: Final = {
    "second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1),
    "day": timedelta(days=1), "week": timedelta(weeks=1),
}  # fmt: skip
_MONTHS_IN: Final = {"month": 1, "year": 12}
_UNITS: Final = "seconds, minutes, hours, days, weeks, months, years"

_READ: Final = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d?", "d": r"\d\d?", "H": r"\d\d?", "I": r"\d\d?", "M": r"\d\d?",
    "S": r"\d\d?", "f": r"\d{1,6}", "p": r"[AaPp][Mm]", "z": r"[Zz]|[+-]\d\d:?\d\d", "s": r"-?\d{1,12}",
    "b": "|".join(name[:3] for name in _MONTHS), "B": "|".join(_MONTHS),
    "a": "|".join(name[:3] for name in _DAYS), "A": "|".join(_DAYS),
}  # fmt: skip
"""What each directive of a format reads. `%j`, `%u`, `%V` and `%G` are only written."""


@function(
    'parse_time(value, format=null, zone="UTC")',
    "a text or Unix seconds as an RFC 3339 time",
    "string",
)
def parse_time(site: Site, frame: Frame, value: object, layout: object = None, zone: object = "UTC") -> object:
    frame.charge(_COST, site.span)
    where = _zone(site, 2, zone)
    if is_number(value) and layout is None:
        assert isinstance(value, int | float)
        return _text(_unix(site, value).astimezone(where))
    if layout is None:
        return _text(_instant(site, 0, value, where))
    text, pattern = site.text(0, value), _reader(_layout(site, 1, layout))
    if isinstance(pattern, str):
        raise site.bad(pattern, 1)
    found = pattern.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise site.bad("The text does not fit the format")
    return _text(_read(site, found.groupdict(), where))


@function("format_time(time, format, zone=null)", "a time as text", "string")
def format_time(site: Site, frame: Frame, time: object, layout: object, zone: object = None) -> object:
    form = _layout(site, 1, layout)
    frame.charge(_COST + 16 * len(form), site.span)
    instant = _within(_instant(site, 0, time), _zone_or_none(site, 2, zone))

    def written(directive: re.Match[str]) -> str:
        text = _directive(instant, directive[1])
        if text is None:
            raise site.bad(f"'{directive[0]}' is not a directive of formats", 1, "Write %% for a percent sign.")
        return text

    return re.sub(r"%(.?)", written, form, flags=re.DOTALL)


@function("add_time(time, amount, unit, zone=null)", "a time so much later, or earlier", "string")
def add_time(site: Site, frame: Frame, time: object, amount: object, unit: object, zone: object = None) -> object:
    frame.charge(_COST, site.span)
    instant = _within(_instant(site, 0, time), _zone_or_none(site, 3, zone))
    if not is_number(amount):
        raise site.wrong(1, amount, "a number")
    assert isinstance(amount, int | float)
    name = _unit(site, 2, unit)
    try:
        if name in ("second", "minute", "hour"):
            moved = instant.astimezone(UTC) + amount * _FIXED[name]
            return _text(moved.astimezone(instant.tzinfo))
        if amount != int(amount):
            raise site.bad(f"{name.capitalize()}s are added as a whole number", 1, "Add hours for a part of a day.")
        return _text(_on_the_calendar(instant, int(amount), name) if amount else instant)
    except (OverflowError, ValueError):
        raise _out_of_range(site) from None


@function('difference(later, earlier, unit="seconds")', "how much time lies between", "integer", "number")
def difference(site: Site, frame: Frame, later: object, earlier: object, unit: object = "seconds") -> object:
    frame.charge(_COST, site.span)
    name = _unit(site, 2, unit)
    if name in _MONTHS_IN:
        raise site.bad(f"{name.capitalize()}s differ in length", 2, "Take days or weeks.")
    between = _instant(site, 0, later) - _instant(site, 1, earlier)
    whole, rest = divmod(between, _FIXED[name])
    return between / _FIXED[name] if rest else whole


@function("zone(time, zone)", "the same time in another time zone", "string")
def in_zone(site: Site, frame: Frame, time: object, zone: object) -> object:
    frame.charge(_COST, site.span)
    try:
        return _text(_instant(site, 0, time).astimezone(_zone(site, 1, zone)))
    except (OverflowError, ValueError):
        raise _out_of_range(site) from None


def _instant(site: Site, position: int, value: object, zone: tzinfo = UTC) -> datetime:
    """An RFC 3339 time, or a date, as an instant; without an offset it is the time of the clocks in `zone`."""
    text = site.text(position, value)
    found = _TIME.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        hint = "Write it like 2026-01-31T08:30:00Z, or say how it is written: parse_time(text, format)."
        raise site.bad("The text is not a time", position, hint)
    year, month, day, hour, minute, second, fraction, offset = found.groups(default="")
    parts = {"Y": year, "m": month, "d": day, "H": hour, "M": minute, "S": second, "f": fraction[:6], "z": offset}
    return _read(site, {name: part for name, part in parts.items() if part}, zone, position)


def _read(site: Site, parts: dict[str, str], zone: tzinfo, position: int = 0) -> datetime:
    """The instant that the parts of a text say, by the names of their directives."""
    if "s" in parts:
        return _unix(site, int(parts["s"])).astimezone(zone)
    month = next((_MONTHS_BY_NAME[parts[name][:3]] for name in ("b", "B") if name in parts), None)
    year = int(parts["y"]) + (2000 if int(parts["y"]) < 69 else 1900) if "y" in parts else int(parts["Y"])
    hour = int(parts.get("H") or parts.get("I") or 0)
    if "I" in parts:
        if not 1 <= hour <= 12:
            raise site.bad("There is no such time", position)
        hour = hour % 12 + (12 if parts.get("p", "AM").upper() == "PM" else 0)
    try:
        wall = datetime(
            year, month or int(parts["m"]), int(parts["d"]), hour, int(parts.get("M", 0)), int(parts.get("S", 0)),
            int(parts.get("f", "0").ljust(6, "0")),
        )  # fmt: skip
        return _on_clocks(wall, _offset(parts["z"]) if "z" in parts else zone)
    except ValueError:
        raise site.bad("There is no such time", position) from None
    except OverflowError:
        raise _out_of_range(site) from None


_MONTHS_BY_NAME: Final = {name[:3]: number for number, name in enumerate(_MONTHS, 1)}


@lru_cache(maxsize=256)
def _reader(layout: str) -> re.Pattern[str] | str:
    """What reads a text of this format, or what is wrong with the format. Each directive stands once, so that there is
    next to nothing to try in vain."""
    pattern: list[str] = []
    seen: set[str] = set()
    for piece in re.findall(r"%.?|[^%]+", layout, re.DOTALL):
        name = piece[1:]
        if piece[0] != "%" or piece == "%%":
            pattern.append(re.escape(piece[:1] if piece == "%%" else piece))
        elif name not in _READ:
            return f"'{piece}' cannot be read"
        elif name in seen:
            return f"'{piece}' is there twice"
        else:
            seen.add(name)
            pattern.append(f"(?P<{name}>{_READ[name]})")
    if "s" not in seen and not ({"d"} <= seen and seen & {"Y", "y"} and seen & {"m", "b", "B"}):
        return "The format needs a year, a month and a day, such as %Y-%m-%d, or %s"
    return re.compile("".join(pattern), re.ASCII)


def _directive(time: datetime, name: str) -> str | None:
    match name:
        case "Y" | "m" | "d" | "H" | "M" | "S":
            words = {"Y": time.year, "m": time.month, "d": time.day, "H": time.hour, "M": time.minute, "S": time.second}
            return f"{words[name]:0{4 if name == 'Y' else 2}}"
        case "y" | "I" | "f" | "j" | "u" | "V" | "G":
            calendar = time.isocalendar()
            return {
                "y": f"{time.year % 100:02}", "I": f"{(time.hour - 1) % 12 + 1:02}", "f": f"{time.microsecond:06}",
                "j": f"{time.timetuple().tm_yday:03}", "u": str(calendar.weekday), "V": f"{calendar.week:02}",
                "G": f"{calendar.year:04}",
            }[name]  # fmt: skip
        case "p":
            return "AM" if time.hour < 12 else "PM"
        case "a" | "A":
            return _DAYS[time.weekday()][: 3 if name == "a" else None]
        case "b" | "B":
            return _MONTHS[time.month - 1][: 3 if name == "b" else None]
        case "z":
            return "+0000" if not time.utcoffset() else _text(time)[-6:].replace(":", "")
        case "s":
            return str((time - _EPOCH) // timedelta(seconds=1))
        case "%":
            return "%"
    return None


def _on_the_calendar(time: datetime, amount: int, unit: str) -> datetime:
    """Days, weeks, months and years keep the time of the clocks; where a month is too short, its last day counts."""
    wall = time.replace(tzinfo=None, fold=0)
    if unit in _MONTHS_IN:
        from calendar import monthrange  # loaded with the first use, as zoneinfo: most expressions know no time

        year, month = divmod(wall.year * 12 + wall.month - 1 + amount * _MONTHS_IN[unit], 12)
        wall = wall.replace(year=year, month=month + 1, day=min(wall.day, monthrange(year, month + 1)[1]))
    else:
        wall += amount * _FIXED[unit]
    return _on_clocks(wall, time.tzinfo or UTC)


def _on_clocks(wall: datetime, zone: tzinfo) -> datetime:
    """The instant at which the clocks of a zone show this: the first one where they show it twice, and as much later as
    they are put forward where they never do."""
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def _unix(site: Site, seconds: float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise _out_of_range(site) from None


def _within(time: datetime, zone: tzinfo | None) -> datetime:
    return time if zone is None else time.astimezone(zone)


def _text(time: datetime) -> str:
    offset = time.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):  # of the years before zones had whole minutes
        time = time.astimezone(UTC)
    return time.isoformat().replace("+00:00", "Z")


def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if int(text[-2:]) > 59:
        raise ValueError(text)
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _zone_or_none(site: Site, position: int, value: object) -> tzinfo | None:
    return None if value is None else _zone(site, position, value)


def _zone(site: Site, position: int, value: object) -> tzinfo:
    name = site.text(position, value)
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        if len(name) <= _LONGEST and _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    raise EvaluationError(
        "eval.value",
        "There is no such time zone",
        site.at(position),
        lambda: _nearest_zone(name) or "Write a name such as Europe/Berlin.",
    )


def _nearest_zone(name: str) -> str | None:
    from zoneinfo import available_timezones

    region = name.partition("/")[0] + "/"
    return did_you_mean(name, sorted(known for known in available_timezones() if known.startswith(region)))


def _unit(site: Site, position: int, value: object) -> str:
    name = site.text(position, value).removesuffix("s")
    if name in _FIXED or name in _MONTHS_IN:
        return name
    raise site.bad("There is no such unit", position, f"Available units: {_UNITS}.")


def _layout(site: Site, position: int, value: object) -> str:
    layout = site.text(position, value)
    if len(layout) > _LONGEST:
        raise site.bad(f"A format has at most {_LONGEST} characters", position)
    return layout


def _out_of_range(site: Site) -> EvaluationError:
    return EvaluationError("eval.overflow", "The time lies outside of the years 1 to 9999", site.span)
