"""Reading a text without understanding it: its numbers, named values, quotes, links and most telling sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Facts", "read_facts", "words"]

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[,_]\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
_NAMED = re.compile(r"\"?([A-Za-z][\w .-]{0,40}?)\"?\s*[:=]\s*(?:\"([^\"\n]{1,200})\"|([^\s,;{}\[\]\"]{1,200}))")
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|“([^”\n]{1,200})”|(?<!\w)'([^'\n]{1,200})'(?!\w)")
_URL = re.compile(r"https?://[^\s\"'<>)\]]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DULL = _set(
    "a an and any are as ask at be by call can do for from get give given has have how in into is it its "
    "me of on one or please so such tell that the their them then there these this those to up use used "
    "was were what when which who will with you your "
)


def words(text: str) -> list[str]:
    """Lower-case words of a text that say something, in order, without endings for plural."""
    found = re.findall(r"[a-z][a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    return [word.removesuffix("s") if len(word) > 3 else word for word in found if word not in _DULL]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in a text."""

    text: str
    numbers: Sequence[float]
    named: Sequence[tuple[str, str | float]]
    quoted: Sequence[str]
    urls: Sequence[str]

    @property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    def stated(self, name: str) -> str | float | None:
        """The value written as `name: value` or `name = value`; the best match of the name's words wins, the last on a
        tie."""
        wanted = set(words(name.replace("_", " ")))
        best: tuple[float, str | float] | None = None
        for key, value in self.named:
            have = set(words(key.replace("_", " ")))
            shared = len(wanted & have)
            score = shared / max(len(wanted | have), 1)
            if shared and score >= 0.5 and (best is None or score >= best[0]):
                best = (score, value)
        return best[1] if best else None

    def sentences(self, most: int = 2) -> list[str]:
        """The sentences with most numbers in them, in the text's order; the first ones when none has any."""
        parts = [part.strip() for part in _SENTENCE.split(self.text) if 3 < len(part.strip()) <= 400]
        ranked = sorted(range(len(parts)), key=lambda i: (-len(_NUMBER.findall(parts[i])), i))[:most]
        return [parts[i] for i in sorted(ranked)]

    def summary(self) -> str:
        """The numbers and named values in a few sentences; without any, the first sentences."""
        out = []
        pairs = list(dict.fromkeys((key, value) for key, value in self.named if isinstance(value, float)))
        if pairs:
            out.append("Values: " + ", ".join(f"{key} {_plain(value)}" for key, value in pairs[:8]) + ".")
        if len(self.numbers) > max(1, len(pairs)):
            mean = sum(self.numbers) / len(self.numbers)
            out.append(
                f"{len(self.numbers)} numbers from {_plain(min(self.numbers))} to {_plain(max(self.numbers))}, "
                f"mean {_plain(mean)}, sum {_plain(sum(self.numbers))}."
            )
        if not out:
            out = [part if part[-1] in ".!?" else f"{part}." for part in self.sentences()]
        return " ".join(out) or "The text says nothing that a rule can read."


def read_facts(text: str) -> Facts:
    """Everything at once. Texts are read up to 200,000 characters."""
    text = text[:200_000]
    without_links = _URL.sub(" ", text)
    named = [
        (_clean(key), _value(quoted or plain))
        for key, quoted, plain in _NAMED.findall(without_links)
        if _clean(key) and (quoted or plain)
    ]
    quoted = ["".join(groups) for groups in _QUOTED.findall(without_links)]
    numbers = [number for number in map(_number, _NUMBER.findall(without_links)) if number is not None]
    links = [link.rstrip(".,;") for link in _URL.findall(text)]
    return Facts(text, numbers, named, quoted, links)


def _clean(key: str) -> str:
    """The last words before the sign, since prose may stand before a name."""
    return " ".join(key.split()[-3:])


def _value(text: str) -> str | float:
    number = _number(text.rstrip(".%"))
    return text.rstrip(".") if number is None else number


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def _plain(value: float) -> str:
    return f"{value:.10g}" if value == int(value) else f"{value:.4g}"
