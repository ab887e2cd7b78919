"""The basic programs: one call with its retries, the pages of a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aicflow_sdk.call import Call, Listing
from aicflow_sdk.effects import Emit, Program, Send, Sleep, Unreached
from aicflow_sdk.models import Page
from aicflow_sdk.replies import Reply, error_of
from aicflow_sdk.retry import Retry

__all__ = ["Toolbox", "all_pages", "perform", "without_items"]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What every program needs to know: how often calls are sent again, and how often a broken stream is reopened."""

    retry: Retry = field(default_factory=Retry)
    reconnect: Retry = field(default_factory=lambda: Retry(attempts=12))


def perform[T](call: Call[T], tools: Toolbox) -> Program[T]:
    """Send a call, again where that is safe, and read its reply. Raises AICFlowError."""
    tried = 0
    uncertain = False
    while True:
        outcome: Reply | Unreached = yield Send(call)
        tried += 1
        if isinstance(outcome, Reply) and (200 <= outcome.status < 300 or outcome.status in call.accept):
            return call.parse(outcome)
        if uncertain and call.gone_is_done and isinstance(outcome, Reply) and outcome.status == 404:
            return call.parse(Reply(204, outcome.headers, b""))
        delay = tools.retry.after(call, outcome, tried)
        if delay is None:
            raise outcome.error if isinstance(outcome, Unreached) else error_of(outcome)
        uncertain = uncertain or not isinstance(outcome, Unreached) or outcome.sent
        yield Sleep(delay)


def all_pages[T](listing: Listing[T], tools: Toolbox) -> Program[None]:
    """Emit the items of all pages, no more than the listing's limit."""
    wanted = listing.limit
    cursor: str | None = None
    while wanted is None or wanted > 0:
        page: Page[T] = yield from perform(listing.page(cursor, wanted), tools)
        for item in page.data if wanted is None else page.data[:wanted]:
            yield Emit(item)
        if page.next_cursor is None or page.next_cursor == cursor:
            return
        cursor = page.next_cursor
        wanted = None if wanted is None else wanted - len(page.data)


def without_items(program: Program[Any], seen: Callable[[Any], None] = lambda item: None) -> Program[Any]:
    """The program with its items shown to `seen` instead of emitted."""
    outcome: Any = None
    try:
        while True:
            try:
                effect = program.send(outcome)
            except StopIteration as stop:
                return stop.value
            if isinstance(effect, Emit):
                seen(effect.item)
                outcome = None
            else:
                outcome = yield effect
    finally:
        program.close()
