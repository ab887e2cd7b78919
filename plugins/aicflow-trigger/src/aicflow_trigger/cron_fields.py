"""Reading a cron expression into fields: what may stand where, and what to say when it does not."""

import re
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from aicflow_trigger.errors import ScheduleError

MAX_LENGTH: Final = 256

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_NTH_DAY = re.compile(r"([a-z0-9]+)#([a-z0-9]*)", re.ASCII)
_LAST_DAY = re.compile(r"l([0-9]+|[a-z]{3})|([0-9]+|[a-z]{3})l", re.ASCII)
_NEAREST = re.compile(r"(\d{1,4})w|w(\d{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One column of a cron expression: its name, its bounds and the words that stand for numbers."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    first_word: int = 0

    @property
    def span(self) -> str:
        """The allowed values in words, for messages."""
        words = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
        return f"{self.low}-{self.high}{words}"


SECOND: Final = FieldSpec("second", 0, 59)
MINUTE: Final = FieldSpec("minute", 0, 59)
HOUR: Final = FieldSpec("hour", 0, 23)
DAY_OF_MONTH: Final = FieldSpec("day-of-month", 1, 31)
MONTH: Final = FieldSpec("month", 1, 12, _MONTHS, 1)
DAY_OF_WEEK: Final = FieldSpec("day-of-week", 0, 7, _DAYS)

FIVE: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
SIX: Final = (SECOND, *FIVE)


@dataclass(frozen=True, slots=True)
class Field:
    """One field as read: its numbers in order, and the same in the plain form that the iterator is given.

    `special` marks L, W and # forms, which depend on the month; `values` is then empty or incomplete.
    """

    spec: FieldSpec
    text: str
    position: int
    values: tuple[int, ...]
    plain: str
    special: bool = False

    @property
    def restricts(self) -> bool:
        """Whether the field rules anything out. A field written `*`, `?` or `*/1` does not."""
        return self.plain != "*"

    @property
    def complete(self) -> bool:
        """Whether every value of the field's range is admitted, however that was written."""
        return not self.special and len(self.values) == self.spec.high - self.spec.low + 1


@dataclass(frozen=True, slots=True)
class CronFields:
    """A whole expression. `second` is None when five fields were written."""

    second: Field | None
    minute: Field
    hour: Field
    day_of_month: Field
    month: Field
    day_of_week: Field

    @property
    def plain(self) -> str:
        """The expression in plain lists of numbers, seconds (if any) first."""
        fields = (self.second, self.minute, self.hour, self.day_of_month, self.month, self.day_of_week)
        return " ".join(field.plain for field in fields if field is not None)


def parse_fields(expression: str) -> CronFields:
    """Read five or six fields (with six, seconds come first). Errors: `ScheduleError`."""
    columns = [(match.group(), match.start()) for match in re.finditer(r"[^ \t]+", expression)]
    if len(columns) not in (5, 6):
        raise ScheduleError(
            f"{len(columns)} fields where five or six are needed",
            field="expression",
            text=expression,
            position=0,
            hint=_count_hint(len(columns), columns[0][0] if columns else ""),
        )
    specs = FIVE if len(columns) == 5 else SIX
    read = [_read_field(spec, text, at) for spec, (text, at) in zip(specs, columns, strict=True)]
    fields = CronFields(read[0] if len(read) == 6 else None, *read[-5:])
    _refuse_impossible(fields)
    return fields


def _count_hint(count: int, first: str) -> str:
    if first.upper().startswith(("TZ=", "CRON_TZ=")):
        return "Give the time zone as the schedule's timezone, not inside the expression"
    if count == 7:
        return "Years are not supported: leave out the seventh field"
    return (
        "Write `minute hour day-of-month month day-of-week`, with `second` in front when seconds matter, "
        "an alias such as @daily, or @every 15m"
    )


def _fail(spec: FieldSpec, problem: str, text: str, position: int, hint: str) -> ScheduleError:
    return ScheduleError(problem, field=spec.name, text=text, position=position, hint=hint)


def _read_field(spec: FieldSpec, text: str, position: int) -> Field:
    lowered = text.translate(_LOWER)  # ASCII only, so that positions stay
    if lowered in ("*", "*/1") or (lowered == "?" and spec in (DAY_OF_MONTH, DAY_OF_WEEK)):
        high = 6 if spec is DAY_OF_WEEK else spec.high
        return Field(_six_days(spec), text, position, tuple(range(spec.low, high + 1)), "*")
    values: set[int] = set()
    specials: list[str] = []
    at = position
    items = lowered.split(",")
    for item in items:
        special = _read_special(spec, item, at)
        if special is None:
            values.update(_read_item(spec, item, at))
        else:
            specials.append(special)
        at += len(item) + 1
    ordered = tuple(sorted(values))
    mixed = len(items) > 1 and specials and (values or any("w" in special for special in specials))
    if mixed and specials != ["l"]:
        raise _fail(
            spec,
            f"{specials[0]!r} cannot stand in a list beside {text!r}'s other items",
            text,
            position,
            "Use two triggers, one for each",
        )
    plain = ",".join([str(value) for value in ordered] + sorted(set(specials)))
    return Field(_six_days(spec), text, position, ordered, plain, bool(specials))


def _six_days(spec: FieldSpec) -> FieldSpec:
    """Seven is read as Sunday; from then on the days of the week run from 0 to 6."""
    return FieldSpec(spec.name, 0, 6, spec.words) if spec is DAY_OF_WEEK else spec


def _read_special(spec: FieldSpec, item: str, at: int) -> str | None:
    """The L, W and # forms in the iterator's spelling, or None when `item` is none of them."""
    if spec is DAY_OF_MONTH:
        if item == "l":
            return "l"
        if near := _NEAREST.fullmatch(item):
            return f"{_number(spec, near.group(1) or near.group(2), at)}w"
        if item.startswith("l"):
            raise _fail(spec, f"{item!r} is not supported", item, at, "Write L for the last day of the month")
    if spec is DAY_OF_WEEK:
        if nth := _NTH_DAY.fullmatch(item):
            if nth.group(2) not in ("1", "2", "3", "4", "5"):
                raise _fail(spec, f"{item!r} names no week of a month", item, at, "Write #1 to #5, as in mon#2")
            return f"{_number(spec, nth.group(1), at) % 7}#{nth.group(2)}"
        if last := _LAST_DAY.fullmatch(item):
            return f"l{_number(spec, last.group(1) or last.group(2), at) % 7}"
        if item == "l":
            raise _fail(spec, "'l' does not say which day", item, at, "Write 5L for the last Friday of the month")
    return None


def _read_item(spec: FieldSpec, item: str, at: int) -> range | list[int]:
    """The numbers that one item between commas stands for."""
    if not item:
        raise _fail(spec, "an item between commas is empty", item, at, f"Write numbers from {spec.span}")
    if item == "?":
        raise _fail(spec, "'?' has no meaning here", item, at, "Write * for every value")
    body, slash, step_text = item.partition("/")
    step = _step(spec, item, step_text, at + len(body) + 1) if slash else 1
    low_text, dash, high_text = body.partition("-")
    if body == "*":
        low, high = spec.low, (6 if spec is DAY_OF_WEEK else spec.high)
    else:
        low = _number(spec, low_text, at)
        high = _number(spec, high_text, at + len(low_text) + 1) if dash else (spec.high if slash else low)
        if spec is DAY_OF_WEEK and not dash and slash:
            high = 6
    if spec is DAY_OF_WEEK and dash and high == 0 and low > 0:
        high = 7  # `fri-sun`: a week may be counted to its Sunday
    if spec is DAY_OF_WEEK and low == 7 > high:
        low = 0  # `7-1`, `7/2`: or from its Sunday
    if low > high:
        last = spec.high if spec is not DAY_OF_WEEK else 6
        wrapped = f"{low_text}-{last},{spec.low}-{high_text}"
        if step > 1:
            size = last - spec.low + 1
            wrapped = ",".join(str((value - spec.low) % size + spec.low) for value in range(low, high + size + 1, step))
        raise _fail(spec, f"the range {item!r} runs backwards", item, at, f"Write {wrapped}")
    values = range(low, high + 1, step)
    return [value % 7 for value in values] if spec is DAY_OF_WEEK else values


def _step(spec: FieldSpec, item: str, text: str, at: int) -> int:
    span = (6 if spec is DAY_OF_WEEK else spec.high) - spec.low
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= span:
        raise _fail(
            spec, f"{text!r} is not a step for this field", item, at, f"Write a number from 1 to {span} after /"
        )
    return int(text)


def _number(spec: FieldSpec, text: str, at: int) -> int:
    if text in spec.words:
        return spec.words.index(text) + spec.first_word
    if not _NUMBER.fullmatch(text):
        problem = f"{text!r} is not a value of this field" if text else "a value is missing"
        raise _fail(spec, problem, text, at, f"Write {spec.span}, * or a list, range or step of these")
    value = int(text)
    if not spec.low <= value <= spec.high:
        raise _fail(spec, f"{value} is out of range", text, at, f"Write {spec.span}")
    return value


def _refuse_impossible(fields: CronFields) -> None:
    """Refuse day-of-month values that no chosen month has, and unions that cannot be told apart."""
    day, month, weekday = fields.day_of_month, fields.month, fields.day_of_week
    if (day.special or weekday.special) and day.restricts and weekday.restricts and _has_mark(day, weekday):
        raise _fail(
            weekday.spec,
            f"{weekday.text!r} cannot be combined with the day-of-month {day.text!r}",
            weekday.text,
            weekday.position,
            "Write * in one of the two fields, or use two triggers",
        )
    longest = max(_DAYS_IN_MONTH[number - 1] for number in month.values)
    earliest = min((int(number) for number in re.findall(r"\d+", day.plain)) if day.restricts else (1,), default=1)
    if earliest > longest and "l" not in day.plain:
        raise _fail(
            day.spec,
            f"day {earliest} never comes in month {month.text}",
            day.text,
            day.position,
            f"Write a day up to {longest}, or L for the last day of the month",
        )


def _has_mark(*fields: Field) -> bool:
    """Whether a field uses # or W or a last weekday: these do not form a union with the other day field."""
    return any(mark in field.plain for field in fields for mark in ("#", "w")) or ("l" in fields[1].plain)
