"""Following executions: their events without gap or repeat over broken connections, and waiting for their end."""

from __future__ import annotations

import json
from typing import Any

from aicflow_sdk.call import Call, nothing, path, query
from aicflow_sdk.calls import executions as calls
from aicflow_sdk.decode import decode
from aicflow_sdk.effects import Closed, Emit, Now, Open, Opened, Program, Receive, Silence, Sleep, Unreached
from aicflow_sdk.errors import AICFlowError, ConnectionFailed, UnexpectedReply, WaitTimeout
from aicflow_sdk.models import Event, Execution
from aicflow_sdk.programs import Toolbox, perform, without_items
from aicflow_sdk.replies import Reply, error_of

__all__ = ["follow", "follow_all", "run", "wait_for"]

_ANSWER_WAIT = 30
"""Seconds that the starting call itself waits: proxies commonly cut at sixty."""
_SLOWEST_POLL = 2.0


class _Cursor:
    """Where a stream of one execution stands. Drops what was seen before and notices a gap."""

    def __init__(self, after: int) -> None:
        self.last = after
        self.ended = False
        self.moved = False

    def take(self, event: Event) -> bool:
        """Whether the event is to be handed on. Raises _Gap."""
        if event.seq is None:
            return True
        if event.seq <= self.last:
            return False
        if event.seq != self.last + 1:
            raise _Gap
        self.last = event.seq
        self.moved = True
        self.ended = event.ends
        return True


class _Gap(Exception):
    """An event is missing: the stream must be opened again where it was whole."""


def events_of(message: str) -> list[Event]:
    """The events of one message: a line of JSON each. Raises UnexpectedReply."""
    try:
        return [decode(Event, json.loads(line)) for line in message.split("\n") if line.strip()]
    except ValueError:
        raise UnexpectedReply("The stream sent something that is not JSON.") from None


def follow(execution_id: str, after: int, tools: Toolbox, *, deadline: float | None = None) -> Program[None]:
    """Emit the events with a seq above `after`, in order, each once, until the execution's last; live ones between.
    Ends earlier at the `deadline` of the clock. Raises AICFlowError when the server is not reached again."""
    cursor = _Cursor(after)
    tried = 0
    while True:
        outcome = yield Open(path("executions", execution_id, "stream") + query(after=cursor.last))
        if isinstance(outcome, Opened):
            cursor.moved = False
            closed = yield from _drain(cursor, deadline)
            if cursor.ended or closed is None:
                return
            if closed.code == 1000 and (yield from _at_end(execution_id, cursor.last, tools)):
                return
            if cursor.moved:
                tried = 0
            outcome = Unreached(
                ConnectionFailed(f"The stream of {execution_id} broke off ({closed.code} {closed.reason})."), sent=False
            )
        tried += 1
        yield from _before_reopening(outcome, tried, tools)
        if deadline is not None and (yield Now()) >= deadline:
            return


def follow_all(where: str, tools: Toolbox) -> Program[None]:
    """Emit what happens to all executions from now on. What happens while a broken connection is opened again is not
    seen; an event of type `stream.lost` stands there, with `reconnected: true`."""
    tried = 0
    while True:
        outcome = yield Open(path("executions", "stream") + where)
        if isinstance(outcome, Opened):
            if tried:
                yield Emit(Event(type="stream.lost", data={"reconnected": True}))
            while isinstance(message := (yield Receive()), str):
                tried = 0
                for event in events_of(message):
                    yield Emit(event)
            outcome = Unreached(
                ConnectionFailed(f"The stream broke off ({message.code} {message.reason})."), sent=False
            )
        tried += 1
        yield from _before_reopening(outcome, tried, tools)


def _drain(cursor: _Cursor, deadline: float | None) -> Program[Closed | None]:
    """Emit what an open stream sends; gives how it was closed, None at the deadline."""
    while True:
        timeout = None if deadline is None else max(0.0, deadline - (yield Now()))
        message: str | Closed | Silence = yield Receive(timeout)
        if isinstance(message, Silence):
            return None
        if isinstance(message, Closed):
            return message
        for event in events_of(message):
            try:
                wanted = cursor.take(event)
            except _Gap:
                return Closed(1002, f"event {cursor.last + 1} is missing")
            if wanted:
                yield Emit(event)
        if cursor.ended:
            return Closed(1000, "")


def _at_end(execution_id: str, last: int, tools: Toolbox) -> Program[bool]:
    """Whether a stream that was closed in good order had no more to say: a proxy may close in good order too."""
    execution: Execution = yield from perform(calls.get(execution_id), tools)
    return execution.ended and execution.last_seq <= last


def _before_reopening(outcome: Reply | Unreached, tried: int, tools: Toolbox) -> Program[None]:
    """Wait before the next try. Raises the error when there shall be none."""
    call: Call[None] = Call(method="GET", path="/", parse=nothing, repeatable=True)
    delay = tools.reconnect.after(call, outcome, tried)
    if delay is None:
        raise outcome.error if isinstance(outcome, Unreached) else error_of(outcome)
    yield Sleep(delay)


def wait_for(execution: Execution, timeout: float | None, tools: Toolbox) -> Program[Execution]:
    """The execution once it has ended. Raises WaitTimeout after `timeout` seconds.

    The stream tells the end at once; where it cannot be had (a proxy without WebSockets), the execution is asked for
    now and then.
    """
    if execution.ended:
        return execution
    deadline = None if timeout is None else (yield Now()) + timeout
    if timeout != 0:
        try:
            yield from without_items(follow(execution.id, execution.last_seq, tools, deadline=deadline))
        except AICFlowError:
            pass  # whether the server is there at all, the next question tells
    delay = 0.05
    while True:
        execution = yield from perform(calls.get(execution.id), tools)
        if execution.ended:
            return execution
        left = None if deadline is None else deadline - (yield Now())
        if left is not None and left <= 0:
            raise WaitTimeout(f"Execution {execution.id} is still {execution.status} after {timeout:g} s.", execution)
        yield Sleep(delay if left is None else min(delay, left))
        delay = min(delay * 2, _SLOWEST_POLL)


def run(workflow: str | Any, input: Any, timeout: float | None, tools: Toolbox, **options: Any) -> Program[Execution]:
    """Start an execution and wait for its end."""
    began = yield Now()
    patience = _ANSWER_WAIT if timeout is None else min(_ANSWER_WAIT, int(timeout))
    execution: Execution = yield from perform(calls.start(workflow, input, wait=patience, **options), tools)
    left = None if timeout is None else max(0.0, timeout - ((yield Now()) - began))
    try:
        return (yield from wait_for(execution, left, tools))
    except WaitTimeout as error:
        raise WaitTimeout(
            f"Execution {error.execution.id} is still {error.execution.status} after {timeout:g} s.", error.execution
        ) from None
