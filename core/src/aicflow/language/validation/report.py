"""Collecting issues, and putting them into document order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aicflow.kernel.issues import Issue, Related, Severity
from aicflow.kernel.values import pointer_keys


class Report:
    """The issues found so far. Beyond the bound they are only counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._issues: list[Issue] = []
        self._left_out = 0

    def error(
        self,
        code: str,
        pointer: str,
        message: str,
        *,
        hint: str | None = None,
        span: tuple[int, int] | None = None,
        related: Sequence[Related] = (),
    ) -> None:
        """Add an error."""
        self.add(Issue(code, "error", pointer, message, hint, span, tuple(related)))

    def warning(
        self, code: str, pointer: str, message: str, *, hint: str | None = None, span: tuple[int, int] | None = None
    ) -> None:
        """Add a warning."""
        self.add(Issue(code, "warning", pointer, message, hint, span))

    def some[T](self, problems: Sequence[T]) -> Sequence[T]:
        """Those for which there is room; the others are counted."""
        room = self._most - len(self._issues)
        self._left_out += max(len(problems) - room, 0)
        return problems[:room]

    def add(self, issue: Issue) -> None:
        """Add an issue."""
        if len(self._issues) < self._most:
            self._issues.append(issue)
        else:
            self._left_out += 1

    def in_order(self, document: Any) -> list[Issue]:
        """All issues in the order of the document; the same issue twice is one."""
        positions = _Positions(document)
        found = sorted(
            dict.fromkeys(self._issues), key=lambda issue: (positions.of(issue.pointer), issue.span or (0, 0))
        )
        if self._left_out:
            severity: Severity = "error"
            message = f"{self._left_out} more issues are not shown."
            found.append(Issue("doc.too-many-issues", severity, "", message, "Mend these first."))
        return found


class _Positions:
    """Where a pointer stands in a document, as a tuple that sorts."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._keys: dict[int, dict[str, int]] = {}

    def of(self, pointer: str) -> tuple[int, ...]:
        at: Any = self._document
        out: list[int] = []
        for key in pointer_keys(pointer):
            if isinstance(at, dict):
                order = self._keys.get(id(at))
                if order is None:
                    order = self._keys[id(at)] = {name: i for i, name in enumerate(at)}
                out.append(order.get(key, len(order)))
                at = at.get(key)
            elif isinstance(at, list) and key.isdecimal():
                index = int(key)
                out.append(index)
                at = at[index] if index < len(at) else None
            else:
                break
        return tuple(out)
