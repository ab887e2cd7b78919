"""A regular expression as a finite automaton, built while it reads: time linear in the text, whatever the pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any, Final

from aicflow.language.schema.model import TooCostly

NODES: Final = 1_000
STATES: Final = 1_000
STEPS: Final = 1_000_000  # visits of nodes while states are built for one text: some tenths of a second

type _Test = Callable[[str], bool]


class Unsupported(Exception):
    """The pattern needs more than a finite automaton, or too large a one."""


class _State(dict[str, "_State"]):
    """A set of nodes with the transitions seen so far."""

    __slots__ = ("accepts", "accepts_at_end", "nodes")
    nodes: frozenset[int]
    accepts: bool
    accepts_at_end: bool


class Automaton:
    """The automaton of a tree from `re`'s own parser. Raises `Unsupported`."""

    def __init__(self, tree: Any) -> None:
        if tree.state.flags & ~32:  # anything beside re.UNICODE
            raise Unsupported("flags")
        self._tests: list[_Test | None] = [None]
        self._next: list[tuple[int, ...]] = [()]
        self._at_start: set[int] = set()
        self._at_end: set[int] = set()
        self._first = self._sequence(list(tree), 0)
        self._states: dict[frozenset[int], _State] = {}
        self._again = self._reach([self._first], start=False)
        self._start = self._state(self._reach([self._first], start=True), start=True)

    def found(self, text: str) -> bool:
        """Whether the pattern is found anywhere in the text. Raises `TooCostly`."""
        state = self._start
        if state.accepts:
            return True
        left = STEPS
        for char in text:
            after = state.get(char)
            if after is None:
                left -= len(state.nodes) * 2 + len(self._again) + 1
                if left < 0:
                    raise TooCostly(f"a text of {len(text)} characters is too long for this pattern")
                after = self._advance(state, char)
            if after.accepts:
                return True
            state = after
        return state.accepts_at_end

    def _advance(self, state: _State, char: str) -> _State:
        passed = [self._next[node][0] for node in state.nodes if (test := self._tests[node]) is not None and test(char)]
        after = self._state(self._reach(passed, start=False) | self._again, start=False)
        if len(state) < 256:  # a text of all of Unicode must not fill the memory
            state[char] = after
        return after

    def _state(self, nodes: frozenset[int], *, start: bool) -> _State:
        known = self._states.get(nodes)
        if known is not None and not start:
            return known
        state = _State()
        state.nodes = nodes
        state.accepts = 0 in nodes
        state.accepts_at_end = 0 in self._reach(nodes, start=start, end=True)
        if not start:
            if len(self._states) >= STATES:
                for old in self._states.values():
                    old.clear()
                self._states.clear()
                self._start.clear()
            self._states[nodes] = state
        return state

    def _reach(self, nodes: Iterable[int], *, start: bool, end: bool = False) -> frozenset[int]:
        """The nodes reached without reading: those that test a character, those that wait for the end, and 0."""
        seen: set[int] = set()
        kept: set[int] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            if node == 0 or self._tests[node] is not None or (node in self._at_end and not end):
                kept.add(node)
            elif node not in self._at_start or start:
                pending.extend(self._next[node])
        return frozenset(kept)

    def _node(self, test: _Test | None, *after: int) -> int:
        if len(self._next) >= NODES:
            raise Unsupported(f"more than {NODES:,} positions")
        self._tests.append(test)
        self._next.append(after)
        return len(self._next) - 1

    def _sequence(self, items: list[Any], after: int) -> int:
        for kind, value in reversed(items):
            after = self._item(kind, value, after)
        return after

    def _item(self, kind: Any, value: Any, after: int) -> int:
        if kind is op.SUBPATTERN:
            if value[1] or value[2]:
                raise Unsupported("flags")
            return self._sequence(list(value[3]), after)
        if kind is op.BRANCH:
            return self._node(None, *(self._sequence(list(branch), after) for branch in value[1]))
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            low, high, body = value
            return self._repeat(low, high, body, after)
        if kind is op.AT:
            node = self._node(None, after)
            if value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
                self._at_start.add(node)
            elif value is op.AT_END_STRING:
                self._at_end.add(node)
            else:
                raise Unsupported("word boundaries")
            return node
        return self._node(_test(kind, value), after)

    def _repeat(self, low: int, high: Any, body: Any, after: int) -> int:
        items = list(body)
        if high is op.MAXREPEAT:
            loop = self._node(None, after)
            self._next[loop] = (self._sequence(items, loop), after)
            after = loop
        else:
            end = after
            for _ in range(high - low):
                after = self._node(None, self._sequence(items, after), end)
        for _ in range(low):
            before, after = after, self._sequence(items, after)
            if before == after:  # an empty body, however often
                break
        return after


def _test(kind: Any, value: Any) -> _Test:
    if kind is op.LITERAL:
        literal = chr(value)
        return lambda char: char == literal
    if kind is op.NOT_LITERAL:
        literal = chr(value)
        return lambda char: char != literal
    if kind is op.ANY:
        return lambda char: char != "\n"
    if kind is op.IN:
        negated = value[0][0] is op.NEGATE
        tests = [_member(what, of) for what, of in value if what is not op.NEGATE]
        return lambda char: any(test(char) for test in tests) is not negated
    names = {op.ASSERT: "look-ahead", op.ASSERT_NOT: "look-ahead", op.GROUPREF: "back-references"}
    raise Unsupported(names.get(kind, str(kind).lower()))


def _member(kind: Any, value: Any) -> _Test:
    if kind is op.RANGE:
        low, high = chr(value[0]), chr(value[1])
        return lambda char: low <= char <= high
    if kind is op.CATEGORY:
        return _CATEGORIES[value]
    return _test(kind, value)


def _word(char: str) -> bool:
    return char.isalnum() or char == "_"


_CATEGORIES: Final[dict[Any, _Test]] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    op.CATEGORY_WORD: _word,
    op.CATEGORY_NOT_WORD: lambda char: not _word(char),
}
