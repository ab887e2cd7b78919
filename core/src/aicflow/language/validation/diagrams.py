"""Boolean functions of decisions with several outcomes: a hash-consed decision diagram with a bound on its work.

A function is a number: 0 is false, 1 is true, any other names a diagram. Decisions are numbered; later ones stand
nearer the root, so that a condition made from earlier ones and one more decision costs a single new diagram.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aicflow.language.work import Budget

FALSE: Final = 0
TRUE: Final = 1

type _Cases = tuple[tuple[int, int], ...]
type _Pair = tuple[int, int]


class Diagrams:
    """All diagrams of one graph. A unit of the budget is about a microsecond and 100 bytes."""

    def __init__(self, budget: Budget) -> None:
        self._charge = budget.charge
        self._decision = [-1, -1]
        self._rest = [FALSE, TRUE]
        self._cases: list[_Cases] = [(), ()]
        self._unique: dict[tuple[int, int, _Cases], int] = {}
        self._either: dict[_Pair, int] = {}

    def choice(self, decision: int, rest: int, cases: Mapping[int, int]) -> int:
        """The function that is `cases[outcome]` for these outcomes of the decision and `rest` for the others. Outcome
        0 is never among the cases, so that equal functions are equal numbers. Raises TooCostly."""
        different: _Cases = tuple(sorted((outcome, then) for outcome, then in cases.items() if then != rest))
        if not different:
            return rest
        self._charge(1 + len(different))
        key = (decision, rest, different)
        found = self._unique.get(key)
        if found is None:
            found = self._unique[key] = len(self._decision)
            self._decision.append(decision)
            self._rest.append(rest)
            self._cases.append(different)
        return found

    def any_of(self, functions: Iterable[int]) -> int:
        """Whether one of the functions holds. Joined in pairs, so that many small ones stay small for long. Raises
        TooCostly."""
        waiting = list(dict.fromkeys(functions))
        if TRUE in waiting:
            return TRUE
        while len(waiting) > 1:
            odd = waiting[-1:] if len(waiting) % 2 else []
            pairs = zip(waiting[::2], waiting[1::2], strict=False)
            waiting = list(dict.fromkeys([self.either(one, two) for one, two in pairs] + odd))
            if TRUE in waiting:
                return TRUE
        return waiting[0] if waiting else FALSE

    def either(self, one: int, two: int) -> int:
        """Whether one of two functions holds. Raises TooCostly."""
        done = self._either
        start = _ordered(one, two)
        work = [start]
        while work:
            pair = work[-1]
            if pair in done or _plainly_either(pair) is not None:
                work.pop()
                continue
            decision, rest, split = self._split(pair)
            rest = _ordered(*rest)
            cases = {outcome: _ordered(*inner) for outcome, inner in split.items()}
            missing = [p for p in (rest, *cases.values()) if p not in done and _plainly_either(p) is None]
            if missing:
                work.extend(missing)
                continue
            made = {outcome: self._joined(p) for outcome, p in cases.items()}
            done[pair] = self.choice(decision, self._joined(rest), made)
            work.pop()
        return self._joined(start)

    def _joined(self, pair: _Pair) -> int:
        plain = _plainly_either(pair)
        return self._either[pair] if plain is None else plain

    def unless(self, one: int, two: int) -> list[tuple[int, int]] | None:
        """Decisions with which `one` holds and `two` does not, the last first; None when there are none, so that `one`
        implies `two`. Raises TooCostly."""
        return self._search(one, two, holds=False)

    def together(self, one: int, two: int) -> list[tuple[int, int]] | None:
        """Decisions with which both hold, the last first; None when there are none. Raises TooCostly."""
        return self._search(one, two, holds=True)

    def _search(self, one: int, two: int, *, holds: bool) -> list[tuple[int, int]] | None:
        wanted = TRUE if holds else FALSE
        never = FALSE if holds else TRUE
        came_from: dict[_Pair, tuple[_Pair, int, int] | None] = {(one, two): None}
        work = [(one, two)]
        while work:
            pair = work.pop()
            if pair[0] == FALSE or pair[1] == never or (not holds and pair[0] == pair[1]):
                continue
            if pair[0] == TRUE and pair[1] == wanted:
                return _way(came_from, pair)
            decision, rest, cases = self._split(pair)
            for outcome, inner in ((0, rest), *cases.items()):
                if inner not in came_from:
                    came_from[inner] = (pair, decision, outcome)
                    work.append(inner)
        return None

    def _split(self, pair: _Pair) -> tuple[int, _Pair, dict[int, _Pair]]:
        """The topmost decision of two functions, and what becomes of both by its outcomes."""
        one, two = pair
        decision = max(self._decision[one], self._decision[two])
        one_rest, one_cases = self._under(one, decision)
        two_rest, two_cases = self._under(two, decision)
        self._charge(1 + len(one_cases) + len(two_cases))
        cases = {outcome: (then, two_rest) for outcome, then in one_cases}
        for outcome, then in two_cases:
            cases[outcome] = (cases[outcome][0] if outcome in cases else one_rest, then)
        return decision, (one_rest, two_rest), cases

    def _under(self, function: int, decision: int) -> tuple[int, Sequence[tuple[int, int]]]:
        if self._decision[function] == decision:
            return self._rest[function], self._cases[function]
        return function, ()


def _ordered(one: int, two: int) -> _Pair:
    return (one, two) if one <= two else (two, one)


def _plainly_either(pair: _Pair) -> int | None:
    one, two = pair
    if one == TRUE or two == TRUE:
        return TRUE
    if one in (FALSE, two):
        return two
    return one if two == FALSE else None


def _way(came_from: Mapping[_Pair, tuple[_Pair, int, int] | None], end: _Pair) -> list[tuple[int, int]]:
    way: list[tuple[int, int]] = []
    step = came_from[end]
    while step is not None:
        pair, decision, outcome = step
        way.append((decision, outcome))
        step = came_from[pair]
    way.reverse()
    return way
