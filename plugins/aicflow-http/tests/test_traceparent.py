"""Requests carry on the trace that their execution belongs to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aicflow.testing import RecordingContext
from http_kit import Asked, Talk, serving

type Send = Callable[..., Awaitable[dict[str, Any]]]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def sent(send: Send, context: RecordingContext, **params: Any) -> str | None:
    """The traceparent that a server sees."""

    async def hello(asked: Asked, talk: Talk) -> None:
        await talk.answer(200)

    async with serving(hello) as server:
        await send(context, url=server.url(), **params)
    return server.asked[0].headers.get("traceparent")


async def test_a_request_is_a_span_of_its_own_in_the_trace(send: Send) -> None:
    first = await sent(send, RecordingContext(traceparent=PARENT))
    again = await sent(send, RecordingContext(traceparent=PARENT, attempt=2))
    other = await sent(send, RecordingContext(traceparent=PARENT, idempotency_key="ex_test:other"))
    for header in (first, again, other):
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", str(header))
    assert len({PARENT, first, again, other}) == 4
    assert await sent(send, RecordingContext(traceparent=PARENT)) == first  # an observer can find it out


@pytest.mark.parametrize(("flags", "kept"), [("00", "00"), ("01", "01"), ("03", "03"), ("fd", "01")])
async def test_flags_that_the_standard_knows_are_kept(send: Send, flags: str, kept: str) -> None:
    header = await sent(send, RecordingContext(traceparent=f"cc-{TRACE}-00f067aa0ba902b7-{flags}"))
    assert header is not None
    assert (header[:3], header[-3:]) == ("00-", f"-{kept}")


async def test_without_a_trace_none_is_made_and_the_steps_own_header_stays(send: Send) -> None:
    assert await sent(send, RecordingContext()) is None
    assert await sent(send, RecordingContext(traceparent=PARENT), headers={"Traceparent": "own"}) == "own"
