"""Regular expressions of schemas, matched in bounded time.

A schema may come from anyone, and Python's `re` backtracks while it holds the interpreter: `^(a+)+$` on thirty
characters stops a process. So a pattern's worst case is estimated from its parse tree. Where the estimate for a text
is small, `re` matches it; else the pattern runs as a finite automaton (`automaton.py`), in time linear in the text.
Look-around and back-references have no automaton: they are matched by `re` as long as the estimate stays small, and a
longer text raises `TooCostly`; with nested repetition they are refused when the schema is checked.

Patterns search, as JSON Schema says. `$` is the end of the text and not "before a last newline" as in Python.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from math import inf
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from aicflow.language.schema.automaton import Automaton, Unsupported
from aicflow.language.schema.model import TooCostly

PATTERN_LIMIT: Final = 2_000  # characters of a pattern
QUICK: Final = 100_000  # estimated steps that `re` may take where there is a choice
BOUND: Final = 5_000_000  # and where there is none: some tens of milliseconds

_REPEATS: Final = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


class PatternError(ValueError):
    """A pattern that is refused; the message says why."""


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function telling whether the pattern is found in a text.

    Raises `PatternError`; the function raises `TooCostly` where a text cannot be searched in bounded time.
    """
    if len(pattern) > PATTERN_LIMIT:
        raise PatternError(f"a pattern may have at most {PATTERN_LIMIT:,} characters, this has {len(pattern):,}")
    translated = _translate(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = re.compile(translated).search
            tree = parser.parse(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"not a regular expression that is understood: {error}") from None
    worst = _Worst(tree)
    automaton: Automaton | None = None
    tried = worst.nested
    if worst.nested:
        try:
            automaton = Automaton(tree)
        except Unsupported as why:
            raise PatternError(
                f"it repeats something that itself repeats, and it uses {why}: "
                "searching a text could take for ever; rewrite it without one of the two"
            ) from None

    def found(text: str) -> bool:
        nonlocal automaton, tried
        cost = worst.steps(len(text))
        if cost > QUICK:
            if not tried:
                with suppress(Unsupported):
                    automaton = Automaton(tree)
                tried = True
            if automaton is not None:
                return automaton.found(text)
        if cost > BOUND:
            raise TooCostly(f"a text of {len(text)} characters is too long for this pattern")
        return search(text) is not None

    return found


def _translate(pattern: str) -> str:
    """The pattern in Python's words: `$` becomes the true end, `(?<name>` becomes `(?P<name>`."""
    out: list[str] = []
    in_class = False
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            out.append(pattern[index : index + 2])
            index += 2
            continue
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            # A bracket that opens a class may be followed by one that belongs to it.
            taken = re.match(r"\[\^?\]?", pattern[index:])
            assert taken is not None
            out.append(taken.group())
            index += taken.end()
            continue
        elif char == "$":
            char = r"\Z"
        elif pattern.startswith("(?", index):
            group = re.match(r"\(\?(?:P?<[A-Za-z_]\w*>|<?[=!]|[is]*:|[is]+\))", pattern[index:])
            if group is None:
                raise PatternError(f"'{pattern[index : index + 6]}' is a kind of group that is not supported")
            char = re.sub(r"^\(\?<(?![=!])", "(?P<", group.group())
            index += group.end() - 1
        out.append(char)
        index += 1
    return "".join(out)


class _Worst:
    """An estimate, from above, of the steps a backtracking matcher takes."""

    def __init__(self, tree: Any) -> None:
        self.nested = False
        self._aside: list[list[float]] = []
        self._spans = self._walk(tree, top=True)
        first = tree[0] if len(tree) else None
        self._anchored = first is not None and first[0] is op.AT and first[1] is op.AT_BEGINNING

    def steps(self, length: int) -> float:
        if self.nested:
            return inf
        runs = sum(_product(spans, length) for spans in [*self._aside, self._spans])
        return runs if self._anchored else runs * (length + 1)

    def _walk(self, items: Any, *, top: bool = False) -> list[float]:
        """The numbers of ways in which each part may stretch, in a list whose product is the number of tries."""
        spans: list[float] = []
        for kind, value in items:
            if kind in _REPEATS:
                low, high, body = value
                inner = self._walk(body)
                if high == low:
                    # Copies of something that stretches, or of something that may be empty, add up unseen.
                    self.nested |= len(inner) * low > 50 or (low > 1 and body.getwidth()[0] == 0)
                    spans += inner * min(low, 50) if not self.nested else []
                elif high <= 1:
                    spans += [2, *inner]
                else:
                    self.nested |= bool(inner) or any(item[0] is op.BRANCH for item in body)
                    self.nested |= any(item[0] is op.SUBPATTERN and _branches(item[1][3]) for item in body)
                    spans.append(inf if high is op.MAXREPEAT else high - low + 1)
            elif kind is op.SUBPATTERN:
                spans += self._walk(value[3])
            elif kind is op.BRANCH:
                spans.append(len(value[1]))
                for branch in value[1]:
                    spans += self._walk(branch)
            elif kind in (op.ASSERT, op.ASSERT_NOT):
                inner = self._walk(value[1])
                # A look-around is tried once and not taken back: at the start it adds, later it multiplies.
                if top and not spans:
                    self._aside.append(inner)
                else:
                    spans += inner
            elif kind is op.ATOMIC_GROUP:
                spans += self._walk(value)
            elif kind is op.GROUPREF:
                spans.append(inf)
        return spans


def _branches(items: Any) -> bool:
    return any(kind is op.BRANCH or (kind is op.SUBPATTERN and _branches(value[3])) for kind, value in items)


def _product(spans: list[float], length: int) -> float:
    total = float(length + 1)
    for span in spans:
        total *= min(span, length + 1)
        if total > BOUND * 1e6:
            return inf
    return total
