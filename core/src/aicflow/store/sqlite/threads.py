"""Bringing results from database threads back to the event loops that wait for them."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Sequence
from typing import Any

type Outcome = tuple[Future[Any], Any, BaseException | None]


def settle(outcomes: Sequence[Outcome]) -> None:
    """Resolve futures from another thread, with one wake-up for each loop rather than one for each future."""
    by_loop: dict[AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, mine in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:
            # the loop was closed while its caller waited: nobody is left to be told
            continue


def _resolve(outcomes: list[Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
