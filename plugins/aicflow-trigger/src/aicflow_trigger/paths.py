"""Webhook paths such as `orders/{customer}/items`: reading them, matching URLs, and finding clashes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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
        self._root: _Branch[T] = _Branch()
        self._size = 0

    def add(self, pattern: PathPattern, value: T) -> None:
        """Add a pattern. Errors: `PathPatternError` when one of the same shape is there already."""
        branch = self._root
        for segment in pattern.segments:
            branch = branch.child(segment)
        if branch.leaf is not None:
            raise _fail(pattern.text, 0, f"{branch.leaf[0].text!r} already takes the same URLs", "Choose another path")
        branch.leaf = (pattern, value)
        self._size += 1

    def remove(self, pattern: PathPattern) -> T | None:
        """Take the pattern of this shape away; returns its value, or None when there was none."""
        trail: list[tuple[_Branch[T], str | None]] = []
        branch: _Branch[T] | None = self._root
        for segment in pattern.segments:
            assert branch is not None
            trail.append((branch, segment))
            branch = branch.existing(segment)
            if branch is None:
                return None
        assert branch is not None
        if branch.leaf is None:
            return None
        value = branch.leaf[1]
        branch.leaf = None
        self._size -= 1
        for parent, segment in reversed(trail):
            parent.prune(segment)
        return value

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """The value and parameters for a URL path (as sent, still percent-encoded), or None."""
        return next(self.matches(path), None)

    def matches(self, path: str) -> Iterator[tuple[T, dict[str, str]]]:
        """Every value whose pattern matches, with its parameters; the one that `find` returns comes first."""
        segments = split_path(path)
        if segments is None or len(segments) > MAX_SEGMENTS:
            return
        for pattern, value in self._root.find(segments, 0):
            given = (text for text, expected in zip(segments, pattern.segments, strict=True) if expected is None)
            yield value, dict(zip(pattern.parameters, given, strict=True))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[PathPattern, T]]:
        return self._root.leaves()


@dataclass(slots=True, eq=False)
class _Branch[T]:
    literals: dict[str, "_Branch[T]"] = field(default_factory=dict)
    parameter: "_Branch[T] | None" = None
    leaf: tuple[PathPattern, T] | None = None

    def existing(self, segment: str | None) -> "_Branch[T] | None":
        return self.parameter if segment is None else self.literals.get(segment)

    def child(self, segment: str | None) -> "_Branch[T]":
        branch = self.existing(segment)
        if branch is None:
            branch = _Branch()
            if segment is None:
                self.parameter = branch
            else:
                self.literals[segment] = branch
        return branch

    def prune(self, segment: str | None) -> None:
        branch = self.existing(segment)
        if branch is None or branch.leaf or branch.literals or branch.parameter:
            return
        if segment is None:
            self.parameter = None
        else:
            del self.literals[segment]

    def find(self, segments: list[str], at: int) -> "Iterator[tuple[PathPattern, T]]":
        if at == len(segments):
            if self.leaf is not None:
                yield self.leaf
            return
        literal = self.literals.get(segments[at])
        if literal is not None:
            yield from literal.find(segments, at + 1)
        if self.parameter is not None:
            yield from self.parameter.find(segments, at + 1)

    def leaves(self) -> "Iterator[tuple[PathPattern, T]]":
        if self.leaf is not None:
            yield self.leaf
        for branch in self.literals.values():
            yield from branch.leaves()
        if self.parameter is not None:
            yield from self.parameter.leaves()


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
            f"{bad.group()!a} cannot stand in a path",
            "Use letters, digits, - . _ ~ and the like",
        )
    return None


def _fail(pattern: str, position: int, problem: str, hint: str) -> PathPatternError:
    return PathPatternError(problem, pattern=pattern, position=position, hint=hint)
