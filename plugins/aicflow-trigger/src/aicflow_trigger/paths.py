"""Webhook paths such as `orders/{customer}/items`: reading them, matching URLs, and finding clashes."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from aicflow_trigger.errors import PathPatternError

MAX_LENGTH: Final = 512
MAX_SEGMENTS: Final = 32

_PARAMETER: Final = re.compile(r"\{([a-z_][a-z0-9_]{0,63})\}", re.ASCII)
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path of literal segments and parameters; a parameter takes exactly one segment that is not empty.

    `segments` holds literals as text and None for each parameter: the shape, which alone decides what matches.
    Case matters. A slash at either end does not.
    """

    text: str
    segments: tuple[str | None, ...]
    parameters: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Read and normalise a pattern. Errors: `PathPatternError`."""
        if len(pattern) > MAX_LENGTH:
            raise _fail(pattern[:MAX_LENGTH], MAX_LENGTH, f"longer than {MAX_LENGTH} characters", "Shorten it")
        segments: list[str | None] = []
        parameters: list[str] = []
        for text, position in _split_pattern(pattern):
            name = _parameter(pattern, text, position)
            if name is not None and name in parameters:
                raise _fail(pattern, position, f"duplicate parameter {name}", "Give each its own name")
            if name is not None:
                parameters.append(name)
            segments.append(text if name is None else None)
        if len(segments) > MAX_SEGMENTS:
            raise _fail(pattern, 0, f"more than {MAX_SEGMENTS} segments", "Shorten it")
        names = iter(parameters)
        normal = "/".join(f"{{{next(names)}}}" if part is None else part for part in segments)
        return cls(normal, tuple(segments), tuple(parameters))

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a URL path (as sent, still percent-encoded), or None when it does not match."""
        given = split_path(path)
        if given is None or len(given) != len(self.segments):
            return None
        values = []
        for expected, text in zip(self.segments, given, strict=True):
            if expected is None:
                values.append(text)
            elif expected != text:
                return None
        return dict(zip(self.parameters, values, strict=True))

    def __str__(self) -> str:
        return self.text


def split_path(path: str) -> list[str] | None:
    """The decoded segments of a URL path as sent; None for one that no pattern can match.

    Split before decoding, so that an encoded slash stays inside its segment. Empty and dot segments, malformed
    escapes, control characters and text that is not UTF-8 match nothing.
    """
    trimmed = path.removeprefix("/").removesuffix("/")
    if len(trimmed) > 16 * MAX_LENGTH or _BAD_PERCENT.search(trimmed):
        return None
    try:
        segments = [unquote_to_bytes(part).decode() for part in trimmed.split("/")]
    except ValueError:
        return None
    if any(part in ("", ".", "..") or not part.isprintable() for part in segments):
        return None
    return segments


def conflicts(one: PathPattern, other: PathPattern) -> bool:
    """Whether some URL would match both patterns."""
    return example_of_both(one, other) is not None


def example_of_both(one: PathPattern, other: PathPattern) -> str | None:
    """A path that both patterns match, to be shown in a message, or None when there is none."""
    if len(one.segments) != len(other.segments):
        return None
    example = []
    for left, right in zip(one.segments, other.segments, strict=True):
        if left is not None and right is not None and left != right:
            return None
        example.append(left or right or "x")
    return "/".join(example)


class PathTable[T]:
    """Patterns with a value each, found by URL path.

    Where several match, a literal segment wins over a parameter, the leftmost difference deciding; so
    `orders/new` is served before `orders/{id}`. A look-up walks one segment at a time down a tree and turns back
    only where a literal branch ends early: its cost does not depend on how many unrelated patterns there are.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str | None, ...], tuple[PathPattern, T]] = {}
        # how many patterns go on with a segment (None: a parameter) behind those before it
        self._branches: Counter[tuple[str | None, ...]] = Counter()

    def add(self, pattern: PathPattern, value: T) -> None:
        """Add a pattern. Errors: `PathPatternError` when one of the same shape is there already."""
        if (same := self._values.get(pattern.segments)) is not None:
            raise _fail(pattern.text, 0, f"{same[0].text!r} already takes the same URLs", "Choose another path")
        self._values[pattern.segments] = pattern, value
        self._branches.update(accumulate((part,) for part in pattern.segments))

    def remove(self, pattern: PathPattern) -> T | None:
        """Take the pattern of this shape away; returns its value, or None when there was none."""
        found = self._values.pop(pattern.segments, None)
        if found is None:
            return None
        for branch in accumulate((part,) for part in pattern.segments):
            self._branches[branch] -= 1
            if not self._branches[branch]:
                del self._branches[branch]
        return found[1]

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """The value and parameters for a URL path (as sent, still percent-encoded), or None."""
        return next(self.matches(path), None)

    def matches(self, path: str) -> Iterator[tuple[T, dict[str, str]]]:
        """Every value whose pattern matches, with its parameters; the one that `find` returns comes first."""
        segments = split_path(path)
        if segments is None or len(segments) > MAX_SEGMENTS:
            return
        for shape in self._shapes(segments, ()):
            pattern, value = self._values[shape]
            given = (text for text, expected in zip(segments, shape, strict=True) if expected is None)
            yield value, dict(zip(pattern.parameters, given, strict=True))

    def _shapes(self, segments: list[str], before: tuple[str | None, ...]) -> Iterator[tuple[str | None, ...]]:
        if len(before) == len(segments):
            if before in self._values:
                yield before
            return
        for part in (segments[len(before)], None):
            if (*before, part) in self._branches:
                yield from self._shapes(segments, (*before, part))

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[PathPattern, T]]:
        return iter(self._values.values())


def _split_pattern(pattern: str) -> Iterator[tuple[str, int]]:
    """The segments with their positions, without a slash at either end."""
    position = 1 if pattern.startswith("/") else 0
    for text in pattern.removeprefix("/").removesuffix("/").split("/"):
        yield text, position
        position += len(text) + 1


def _parameter(pattern: str, text: str, position: int) -> str | None:
    """The name of a parameter segment, None for a literal one. Errors: `PathPatternError` for anything else."""
    if parameter := _PARAMETER.fullmatch(text):
        return parameter[1]
    if not text:
        raise _fail(pattern, position, "an empty segment", "Write at least one segment, with single slashes")
    if text in (".", ".."):
        raise _fail(pattern, position, f"{text!r} is not a segment of its own", "Write the path out")
    if "{" in text or "}" in text:
        raise _fail(
            pattern,
            position,
            f"{text!r} is not a parameter",
            "A parameter is a whole segment: {name}, of lower-case letters, digits and _",
        )
    if bad := re.search(r"[^A-Za-z0-9._~!$&'()*+,;=:@-]", text, re.ASCII):
        raise _fail(
            pattern,
            position + bad.start(),
            f"{bad.group()!a} is not allowed in a path",
            "Use letters, digits, - . _ ~ and the like",
        )
    return None


def _fail(pattern: str, position: int, problem: str, hint: str) -> PathPatternError:
    return PathPatternError(problem, pattern=pattern, position=position, hint=hint)
