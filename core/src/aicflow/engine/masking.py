"""Secret values in what people are shown: found in every form they take, replaced in values, never in encoded JSON.

What nodes receive is never masked. Numbers, `true` and `null` stay what they are, so JSON stays JSON.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

from aicflow.kernel.values import dumps, loads
from aicflow.lazy import needs

MASKED: Final = "***"
_WHAT: Final = "Hiding secrets"
_SHORTEST: Final = 4
_ANYWHERE: Final = 8  # shorter ones count only where they stand alone, or they would blot out ordinary text
_SHORTEST_LINE: Final = 12
_CUT: Final = "…"
_CUT_ENCODED: Final = _CUT.encode()
# What of an event is anybody's data; the rest is read by programs and stays.
_FOR_PEOPLE: Final = frozenset(
    {"output", "output_preview", "fields", "message", "detail", "hint", "excerpt", "pointer", "details"}
)


def _forms(value: str) -> Iterator[str]:
    """The value as it may stand in text: plain, in URLs and JSON pointers, hex, base64, JSON in JSON, and its long
    lines."""
    raw = value.encode()
    yield value
    yield value.replace("~", "~0").replace("/", "~1")
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield _lower_escapes(quoted)
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before, start in ((0, 0), (1, 2), (2, 3)):
            # what stands before and after it decides the characters at the edges; the others are the secret's alone
            end = (before + len(raw)) * 8 // 6
            yield encode(b"\0" * before + raw).decode()[start:end]
    once, ascii_once = dumps(value).decode()[1:-1], json.dumps(value)[1:-1]
    for escaped in (once, ascii_once):
        yield escaped
        yield dumps(escaped).decode()[1:-1]
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----"))


def _lower_escapes(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


class _Search:
    """The forms of a set of values, as automata. Made once for a set."""

    def __init__(self, values: frozenset[str]) -> None:
        kept = [value for value in values if is_masked(value)]
        self.forms = sorted(
            {form for value in kept for form in _forms(value) if form == value or len(form) >= _SHORTEST}
        )
        self.numbers = frozenset(value for value in kept if len(value) >= 6)
        self._short = [len(form) < _ANYWHERE for form in self.forms]
        automata = needs("ahocorasick_rs", _WHAT)
        self._text = automata.AhoCorasick(self.forms)
        self._heads = automata.AhoCorasick(sorted({form[:_SHORTEST] for form in self.forms}))
        self._longest = max(map(len, self.forms), default=0)
        self._encoded = automata.BytesAhoCorasick(list({dumps(form)[1:-1] for form in self.forms}))

    def may_hold(self, encoded: bytes) -> bool:
        """Whether JSON bytes hold a form anywhere."""
        return bool(self.forms) and (_CUT_ENCODED in encoded or bool(self._encoded.find_matches_as_indexes(encoded)))

    def spans(self, text: str, *, short: bool = True) -> list[tuple[int, int]]:
        """Where the text holds secrets, in order and joined where they overlap."""
        found: list[tuple[int, int]] = []
        if not self.forms:
            return found
        matches = self._text.find_matches_as_indexes(text, overlapping=True)
        if _CUT in text:  # somebody shortened it who did not know the secret: its beginning is left before the mark
            matches += [(-1, end - size, end) for end in _places(text) if (size := self.begun(text[:end])) >= _ANYWHERE]
        for index, start, end in sorted(matches, key=_place):
            if index >= 0 and self._short[index] and not (short and _stands_alone(text, start, end)):
                continue
            if found and start < found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            else:
                found.append((start, end))
        return found

    def begun(self, text: str) -> int:
        """How many characters at the end of the text may be the beginning of a form."""
        if not self.forms:
            return 0
        window = text[-self._longest :]
        heads = [start for _, start, _ in self._heads.find_matches_as_indexes(window, overlapping=True)]
        for start in (*heads, *range(max(len(window) - _SHORTEST + 1, 0), len(window))):
            tail = window[start:]
            at = bisect_left(self.forms, tail)
            if at < len(self.forms) and self.forms[at].startswith(tail):
                return len(tail)
        return 0


def _places(text: str) -> Iterator[int]:
    at = text.find(_CUT)
    while at >= 0:
        yield at
        at = text.find(_CUT, at + 1)


def _place(match: tuple[int, int, int]) -> tuple[int, int]:
    return match[1:]


def is_masked(value: str) -> bool:
    """Whether a value is hidden at all: shorter than 4 characters it would blot out ordinary words."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON cannot hold either
        return False
    return size >= _SHORTEST or (size == _SHORTEST - 1 and not value.isalnum())


def _stands_alone(text: str, start: int, end: int) -> bool:
    before = start > 0 and _is_word(text[start - 1]) and _is_word(text[start])
    after = end < len(text) and _is_word(text[end]) and _is_word(text[end - 1])
    return not before and not after


_search = lru_cache(maxsize=64)(_Search)


class Mask:
    """The secret values known so far, and hiding them. What `parent` hides is hidden too."""

    __slots__ = ("_now", "_values", "parent")

    def __init__(self, values: Iterable[str] = (), parent: Mask | None = None) -> None:
        self._values = frozenset(values)
        self._now: _Search | None = None
        self.parent = parent

    @property
    def values(self) -> frozenset[str]:
        """The values it was given itself."""
        return self._values

    def add(self, *values: str) -> None:
        """Hide these from now on."""
        if not self._values.issuperset(values):
            needs("ahocorasick_rs", _WHAT)  # before the value is used: it could not be hidden
            self._values, self._now = self._values.union(values), None

    def _searches(self) -> Iterator[_Search]:
        # the narrower first: a token may hold a secret of the parent
        if self._values:
            if self._now is None:
                self._now = _search(self._values)
            yield self._now
        if self.parent is not None:
            yield from self.parent._searches()

    def text(self, text: str) -> str:
        """The text with `***` in place of secrets."""
        for search in self._searches():
            text = _replaced(search, text)
        return text

    def value(self, value: Any) -> Any:
        """JSON data: texts are masked, keys that hold 8 characters or more of a form too, and numbers of 6 digits or
        more that are a secret."""
        for search in self._searches():
            if search.may_hold(dumps(value)):
                value = _masked(search, value)
        return value

    def json(self, encoded: bytes) -> bytes:
        """Encoded JSON data; the same object when it holds no secret."""
        for search in self._searches():
            if search.may_hold(encoded):
                value = loads(encoded)
                shown = _masked(search, value)
                encoded = encoded if shown == value else dumps(shown)
        return encoded

    def event(self, body: bytes) -> bytes:
        """An event's encoded data: what is for people is masked, what programs read stays. The same object when it
        holds no secret."""
        for search in self._searches():
            if search.may_hold(body):
                data = loads(body)
                shown = _event(search, data)
                body = body if shown == data else dumps(shown)
        return body

    def report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """A failure report for people."""
        shown = dict(report)
        for search in self._searches():
            shown = _event(search, shown)
        return shown

    def ready(self, text: str) -> int:
        """How many characters of a text that goes on can be shown: what follows may be the beginning of a secret. No
        secret is cut in two there."""
        ready = len(text)
        for search in self._searches():
            ready = min(ready, len(text) - search.begun(text))
        for search in self._searches():
            ready = next((start for start, end in search.spans(text) if start < ready < end), ready)
        return ready


def _replaced(search: _Search, text: str, *, short: bool = True) -> str:
    try:
        spans = search.spans(text, short=short)
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
        spans = search.spans(text, short=short)
    if not spans:
        return text
    parts, last = [], 0
    for start, end in spans:
        parts += [text[last:start], MASKED]
        last = end
    return "".join([*parts, text[last:]])


def _masked(search: _Search, value: Any, *, keys: bool = True) -> Any:
    if isinstance(value, str):
        return _replaced(search, value)
    if isinstance(value, list | tuple):
        return [_masked(search, item, keys=keys) for item in value]
    if isinstance(value, dict):
        shown: dict[Any, Any] = {}
        for key, item in value.items():
            name = _replaced(search, key, short=False) if keys and isinstance(key, str) else key
            while name in shown:  # two keys that look alike now stay two
                name += "*"
            shown[name] = _masked(search, item, keys=keys)
        return shown
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in search.numbers:
        return MASKED
    return value


def _event(search: _Search, data: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(data)
    for key, value in data.items():
        if key in _FOR_PEOPLE:
            shown[key] = _masked(search, value)
        elif key == "answer_schema":  # its keys are names of fields and words of JSON Schema
            shown[key] = _masked(search, value, keys=False)
        elif key == "error" and isinstance(value, dict):
            shown[key] = _event(search, value)
    return shown


class DeltaMask:
    """Masks the text of one step's deltas, in which a secret may come in pieces: what may be the beginning of one is
    held back until the next delta."""

    __slots__ = ("_held", "_mask")

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = ""

    def shown(self, delta: Any) -> list[Any]:
        """What to show of a delta now, perhaps nothing."""
        text = delta.get("text") if isinstance(delta, dict) and len(delta) == 1 else None
        if not isinstance(text, str):
            return [*self.rest(), self._mask.value(delta)]
        whole = (self._held + text).encode("utf-8", "replace").decode()
        ready = self._mask.ready(whole)
        self._held = whole[ready:]
        return [{"text": self._mask.text(whole[:ready])}] if ready else []

    def rest(self) -> list[Any]:
        """What was held back, when no more comes."""
        held, self._held = self._held, ""
        return [{"text": self._mask.text(held)}] if held else []
