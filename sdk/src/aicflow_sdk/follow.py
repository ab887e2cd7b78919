"""Following executions: their events in order, each once, over connections that break."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from aicflow_sdk.decode import decode
from aicflow_sdk.errors import APIError, ConnectionFailed, UnexpectedReply
from aicflow_sdk.execution import Execution
from aicflow_sdk.messages import QueryValue, path
from aicflow_sdk.models import Event
from aicflow_sdk.session import Closed, Session


def _events_of(message: str) -> list[Event]:
    """The events of one message: a line of JSON each. Raises UnexpectedReply."""
    try:
        return [decode(Event, json.loads(line)) for line in message.split("\n") if line.strip()]
    except ValueError:
        raise UnexpectedReply("The stream sent something that is not JSON.") from None


async def follow(
    session: Session, execution_id: str, after: int, *, live: bool = True, deadline: float | None = None
) -> AsyncGenerator[Event]:
    """The events with a seq above `after`, in order, each once, until the execution's last; `live` ones between. Ends
    earlier at the `deadline` of the clock. Raises AICFlowError when the server is not reached again."""
    now, tried = session.transport.now, 0
    while deadline is None or not tried or now() < deadline:
        moved = False
        try:
            async with session.transport.stream(
                path("executions", execution_id, "stream", query={"after": after})
            ) as stream:
                while True:
                    message = await stream.receive(None if deadline is None else max(0.0, deadline - now()))
                    if message is None:
                        return
                    for event in _events_of(message):
                        if event.seq is None:
                            if live:
                                yield event
                        elif event.seq > after + 1:  # open it again where it was whole
                            raise Closed(1002, f"event {after + 1} is missing")
                        elif event.seq == after + 1:
                            after, moved = event.seq, True
                            yield event
                            if event.ends:
                                return
        except (ConnectionFailed, APIError) as error:
            if isinstance(error, Closed) and error.code == 1000:  # a proxy may close in good order too
                execution = await session.call(Execution, "GET", "executions", execution_id)
                if execution.ended and execution.last_seq <= after:
                    return
            tried = 1 if moved else tried + 1
            await session.again(error, tried, session.reconnect)


async def follow_all(session: Session, **where: QueryValue) -> AsyncGenerator[Event]:
    """What happens to all executions from now on. What happens while a broken connection is opened again is not seen;
    an event of type `stream.lost` takes its place, with `reconnected: true`."""
    tried = 0
    while True:
        try:
            async with session.transport.stream(path("executions", "stream", query=where)) as stream:
                if tried:
                    yield Event(type="stream.lost", data={"reconnected": True})
                while (message := await stream.receive(None)) is not None:
                    tried = 0
                    for event in _events_of(message):
                        yield event
        except (ConnectionFailed, APIError) as error:
            tried += 1
            await session.again(error, tried, session.reconnect)
