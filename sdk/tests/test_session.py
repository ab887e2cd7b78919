"""The pure core: programs are done by hand, with outcomes of our choosing and no network at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aicflow_sdk import (
    APIError,
    Conflict,
    ConnectionFailed,
    ExecutionUnsuccessful,
    NotFound,
    RateLimited,
    Retry,
    ServerError,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WaitTimeout,
    WorkflowInvalid,
)
from aicflow_sdk.blocking import run
from aicflow_sdk.errors import AICFlowError
from aicflow_sdk.execution import Execution
from aicflow_sdk.follow import follow, follow_all
from aicflow_sdk.messages import Reply, Request, error_of, path
from aicflow_sdk.resources.executions import AsyncExecutions
from aicflow_sdk.resources.installed import AsyncApiKeys, AsyncHost
from aicflow_sdk.resources.triggers import AsyncTriggers
from aicflow_sdk.resources.workflows import AsyncWorkflows
from aicflow_sdk.session import AsyncItems, Closed, Session

LOST = ConnectionFailed("lost", sent=True)
REFUSED = ConnectionFailed("refused", sent=False)
OPENED = "opened"
SILENCE = None


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    given = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Reply(status, given, json.dumps(value).encode())


def problem(status: int, code: str, **more: Any) -> Reply:
    headers = {"content-type": "application/problem+json", "x-request-id": "rq_h"}
    if "retry_after" in more:
        headers["retry-after"] = more.pop("retry_after")
    body = {"type": f"urn:aicflow:problem:{code}", "title": "T", "status": status, "detail": "D.", "errors": [], **more}
    return Reply(status, headers, json.dumps(body).encode())


EXECUTION = {
    "id": "ex_1", "workflow_id": "w", "version": 1, "status": "running", "created_at": "2026-01-01T00:00:00.5Z",
    "trigger": {"kind": "api"}, "last_seq": 2, "priority": 0, "cancel_requested": False, "removed": [],
    "something_newer": {"a": 1},
}  # fmt: skip
TRIGGER = {"workflow_id": "w", "trigger_id": "t", "type_id": "x", "version": 1, "status": "active", "params": {}}
ENDED = {**EXECUTION, "status": "succeeded", "output": 5, "last_seq": 4}


class Script:
    """A transport that answers with outcomes of our choosing, and keeps what was done in words."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.did: list[str] = []
        self.sent: list[Request] = []
        self.clock = 0.0

    def now(self) -> float:
        return self.clock

    async def sleep(self, seconds: float) -> None:
        self.did.append(f"sleep {seconds:g}")
        self.clock += seconds

    async def send(self, request: Request) -> Reply:
        self.sent.append(request)
        self.did.append(f"{request.method} {request.path}")
        found: Reply = self._next()
        return found

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Script]:
        self.did.append(f"open {path}")
        opened = self._next()
        if isinstance(opened, Reply):
            raise error_of(opened)
        assert opened is OPENED
        yield self

    async def receive(self, timeout: float | None) -> str | None:
        found: str | None = self._next()
        if found is SILENCE:
            self.clock += timeout or 0
        return found

    def _next(self) -> Any:
        assert self.outcomes, f"nothing is left to answer {self.did[-1]}"
        found = self.outcomes.pop(0)
        if isinstance(found, AICFlowError):
            raise found
        return found


def session(script: Script) -> Session:
    return Session(script, Retry(random=lambda: 1.0), Retry(attempts=3, random=lambda: 1.0))


class Done:
    """A call that was made with a script: its result or its items, and what was done for it."""

    def __init__(self, call: Callable[[Session], Any], outcomes: Sequence[Any]) -> None:
        script = Script(*outcomes)
        self.did, self.sent = script.did, script.sent
        self.items: list[Any] = []
        self.result: Any = None
        made = call(session(script))
        if isinstance(made, Coroutine):
            self.result = run(made)
        else:
            self.items = run(collected(made))
        assert not script.outcomes, f"unused: {script.outcomes}"


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


def fails(call: Callable[[Session], Any], outcomes: Sequence[Any], kind: type[Exception]) -> Any:
    with pytest.raises(kind) as caught:
        Done(call, outcomes)
    return caught.value


def sent(call: Callable[[Session], Any], answer: Any = None) -> Request:
    """The request of one call; how its answer is read is another matter."""
    script = Script(reply(answer))
    with suppress(UnexpectedReply):
        made = call(session(script))
        run(made if isinstance(made, Coroutine) else made.page())
    (request,) = script.sent
    return request


def get(execution_id: str = "ex_1") -> Callable[[Session], Any]:
    return lambda session: AsyncExecutions(session).get(execution_id)


def get_workflow(session: Session) -> Any:
    return AsyncWorkflows(session).get("w")


def waiting(**options: Any) -> Callable[[Session], Any]:
    return lambda session: AsyncExecutions(session).wait("ex_1", **options)


def event(seq: int | None, kind: str = "step.log", **more: Any) -> str:
    given = {"type": kind, "execution_id": "ex_1", "data": {}, **more}
    return json.dumps(given if seq is None else {"seq": seq, "time": "2026-01-01T00:00:00Z", **given})


class TestRequests:
    def test_ids_cannot_become_other_paths(self) -> None:
        odd = sent(lambda s: AsyncWorkflows(s).get("a/../b?x=1#y"))
        assert odd.path == "/api/v1/workflows/a%2F..%2Fb%3Fx%3D1%23y"
        assert sent(lambda s: AsyncTriggers(s).pause("w:hook")).path == "/api/v1/triggers/w:hook/pause"
        for wrong in ("", ".", ".."):
            with pytest.raises(ValueError, match="not an id"):
                path("workflows", wrong)

    def test_queries_hold_what_was_said(self) -> None:
        when = datetime(2026, 1, 2, tzinfo=UTC)
        found = sent(
            lambda s: AsyncExecutions(s).list(status=["failed", "cancelled"], created_after=when, workflow_id="a&b")
        )
        assert found.path == (
            "/api/v1/executions?workflow_id=a%26b&status=failed%2Ccancelled&created_after=2026-01-02T00%3A00%3A00Z&limit=100"
        )
        page = sent(lambda s: AsyncWorkflows(s).list(enabled=False, limit=7).page("c="))
        assert page.path == "/api/v1/workflows?enabled=false&limit=7&cursor=c%3D"
        assert path("x", query={"a": None}) == "/api/v1/x"
        with pytest.raises(ValueError, match="no time zone"):
            sent(lambda s: AsyncExecutions(s).list(created_after=datetime(2026, 1, 2)))

    @pytest.mark.parametrize(
        "call",
        [
            lambda s, **key: AsyncExecutions(s).start("x", **key),
            lambda s, **key: AsyncExecutions(s).rerun("x", **key),
            lambda s, **key: AsyncExecutions(s).bulk_cancel(**key),
            lambda s, **key: AsyncExecutions(s).bulk_rerun(**key),
            lambda s, **key: AsyncWorkflows(s).create({}, **key),
            lambda s, **key: AsyncTriggers(s).fire("x", **key),
            lambda s, **key: AsyncTriggers(s).replay("t", "d", **key),
            lambda s, **key: AsyncApiKeys(s).create("k", ["read"], **key),
        ],
    )
    def test_every_creating_request_carries_a_key_of_its_own(self, call: Callable[..., Any]) -> None:
        first, second = sent(call), sent(call)
        assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
        assert first.repeatable
        mine = sent(lambda s: call(s, idempotency_key="mine"))
        assert mine.headers["idempotency-key"] == "mine"

    def test_a_start_says_what_it_was_given(self) -> None:
        first = sent(lambda s: AsyncExecutions(s).start("w", {"a": 1}))
        empty = sent(lambda s: AsyncExecutions(s).start("w", idempotency_key=""))
        assert empty.headers["idempotency-key"] == "", "the server refuses it; a key that went missing is a mistake"
        keyed = sent(lambda s: AsyncExecutions(s).start("w", idempotency_key="mine", wait=7))
        assert keyed.headers == {
            "idempotency-key": "mine", "prefer": "wait=7", "content-type": "application/json"
        }  # fmt: skip
        assert json.loads(first.body or b"") == {"workflow_id": "w", "input": {"a": 1}}

    def test_what_is_unsafe_to_repeat_is_marked_so(self) -> None:
        once = [
            sent(lambda s: AsyncExecutions(s).resume("e", 1)),
            sent(lambda s: AsyncWorkflows(s).restore("w", 1)),
            sent(lambda s: AsyncWorkflows(s).update("w", {}, etag='"1"')),
        ]
        again = [
            sent(lambda s: AsyncExecutions(s).cancel("e")),
            sent(lambda s: AsyncWorkflows(s).update("w", {})),
            sent(lambda s: AsyncWorkflows(s).delete("w")),
            sent(lambda s: AsyncWorkflows(s).validate({})),
            sent(lambda s: AsyncTriggers(s).pause("w:t")),
            sent(lambda s: AsyncTriggers(s).resume("w:t")),
            sent(lambda s: AsyncHost(s).ready()),
        ]
        assert [request.repeatable for request in once] == [False] * len(once)
        assert [request.repeatable for request in again] == [True] * len(again)

    def test_rerun_tells_null_from_the_same_input(self) -> None:
        same = sent(lambda s: AsyncExecutions(s).rerun("e"))
        null = sent(lambda s: AsyncExecutions(s).rerun("e", input=None))
        assert json.loads(same.body or b"") == {"version": "pinned"}
        assert json.loads(null.body or b"") == {"version": "pinned", "input": None}


class TestSending:
    def test_safe_requests_are_sent_again_with_growing_delays(self) -> None:
        outcomes = [REFUSED, LOST, problem(503, "unavailable"), problem(502, "x"), reply(EXECUTION)]
        done = Done(get(), outcomes)
        assert [did for did in done.did if "sleep" in did] == ["sleep 0.25", "sleep 0.5", "sleep 1", "sleep 2"]
        assert done.result.id == "ex_1"

    def test_the_attempts_are_counted(self) -> None:
        assert fails(get_workflow, [LOST] * 5, ConnectionFailed) is LOST
        fails(get_workflow, [problem(503, "unavailable")] * 5, Unavailable)

    def test_what_may_have_been_done_is_not_sent_again(self) -> None:
        def resume(session: Session) -> Any:
            return AsyncExecutions(session).resume("ex_1", 1)

        fails(resume, [LOST], ConnectionFailed)
        fails(resume, [problem(503, "unavailable")], Unavailable)
        done = Done(resume, [REFUSED, problem(429, "rate-limited"), reply(EXECUTION, 202)])
        assert done.result.status == "running"

    def test_retry_after_counts_with_a_little_jitter_and_not_for_ever(self) -> None:
        done = Done(get(), [problem(429, "rate-limited", retry_after="7"), reply(EXECUTION)])
        assert done.did[1] == "sleep 7.25"
        error = fails(get(), [problem(429, "rate-limited", retry_after="3600")], RateLimited)
        assert error.retry_after == 3600
        http_date = Reply(429, {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, b"")
        assert http_date.retry_after(datetime(2026, 1, 1, tzinfo=UTC)) == 30
        assert Reply(429, {"retry-after": "soon"}, b"").retry_after() is None

    def test_full_jitter_stays_below_the_exponential_delay(self) -> None:
        retry = Retry(initial=0.5, longest=4)
        for tried in range(1, 9):
            delays = [retry.delay(tried) for _ in range(200)]
            assert 0 <= min(delays) < max(delays) <= min(4, 0.5 * 2 ** (tried - 1))

    def test_other_refusals_are_final(self) -> None:
        for status, code, kind in [(400, "x", APIError), (404, "not-found", NotFound), (409, "conflict", Conflict),
                                   (500, "internal", ServerError)]:  # fmt: skip
            assert fails(get_workflow, [problem(status, code)], kind).status == status

    def test_a_repeated_delete_that_finds_nothing_has_done_its_work(self) -> None:
        def delete(session: Session) -> Any:
            return AsyncWorkflows(session).delete("w")

        gone = problem(404, "not-found")
        assert Done(delete, [LOST, gone]).result is None
        assert Done(delete, [problem(503, "unavailable"), gone]).result is None
        fails(delete, [gone], NotFound)
        fails(delete, [REFUSED, gone], NotFound)

    def test_what_is_not_the_api_is_said_so(self) -> None:
        page = Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html><script>x</script><h1>Sign in</h1>")
        assert "text/html" in str(fails(get_workflow, [page], UnexpectedReply))
        assert "Sign in" in str(fails(get_workflow, [page], UnexpectedReply))
        broken = Reply(200, {"content-type": "application/json"}, b'{"id": ')
        fails(get_workflow, [broken], UnexpectedReply)
        short = {"id": "e", "workflow_id": "w", "version": 1}
        assert "status is missing" in str(fails(get(), [reply(short)], UnexpectedReply))
        wrong = {**EXECUTION, "trigger": {"kind": 5}}
        assert "trigger.kind is not a string" in str(fails(get(), [reply(wrong)], UnexpectedReply))
        moved = Reply(302, {"location": "https://login.example"}, b"")
        assert "https://login.example" in str(fails(get_workflow, [moved], UnexpectedReply))

    def test_readiness_is_an_answer_also_when_it_is_not_ready(self) -> None:
        body = {
            "status": "not-ready", "checks": {"store": "down"}, "plugins": {}, "degraded": ["ai.agent"], "stuck": 2,
            "node_types": {"ai.agent": {"ready": False, "reason": "No model.", "models": []}},
        }  # fmt: skip
        ready = Done(lambda s: AsyncHost(s).ready(), [reply(body, 503)]).result
        assert not ready.ready
        assert (ready.checks, ready.degraded, ready.stuck) == ({"store": "down"}, ("ai.agent",), 2)
        assert ready.node_types["ai.agent"].reason == "No model."

    def test_an_output_that_was_left_out_is_not_taken_for_null(self) -> None:
        listed = Done(get(), [reply({**EXECUTION, "status": "succeeded"})]).result
        with pytest.raises(ExecutionUnsuccessful, match=r"left out(?s:.)*executions\.get\("):
            listed.result()
        assert Done(get(), [reply({**ENDED, "output": None})]).result.result() is None


class TestErrors:
    def test_a_problem_tells_everything_it_knows(self) -> None:
        found = problem(
            422, "workflow-invalid", request_id="rq_1", hint="Look.",
            errors=[
                {"code": "node.unknown-type", "pointer": "/nodes/0/type", "message": "There is no x.", "hint": "Y?",
                 "severity": "error", "span": [1, 2]},
                {"code": "type.maybe-null", "pointer": "/output", "message": "may be null", "severity": "warning"},
                "garbage",
            ],
        )  # fmt: skip
        error = error_of(found)
        assert isinstance(error, WorkflowInvalid)
        assert (error.code, error.request_id, error.hint) == ("workflow-invalid", "rq_1", "Look.")
        assert [(e.pointer, e.span) for e in error.errors] == [("/nodes/0/type", (1, 2)), ("/output", None)]
        assert str(error).splitlines() == [
            "D. [422 workflow-invalid]", "  /nodes/0/type: There is no x.", "    Y?", "Look.", "Request id: rq_1",
        ]  # fmt: skip

    def test_the_status_says_the_kind_also_without_a_problem_document(self) -> None:
        for status, kind in [(401, Unauthorized), (503, Unavailable), (502, ServerError), (418, APIError)]:
            error = error_of(Reply(status, {"content-type": "text/html"}, b"<b>Bad Gateway</b>"))
            assert type(error) is kind
            assert "Bad Gateway" in str(error)
            assert "not AIC Flow" in str(error)

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b'{"type": 5}', b'{"type": "urn:aicflow:problem:x", "errors": 5}', b"\xff"]
    )
    def test_a_broken_problem_document_is_still_an_error(self, body: bytes) -> None:
        assert isinstance(error_of(Reply(404, {"content-type": "application/problem+json"}, body)), NotFound)


class TestPages:
    def pages(self, *sizes: int) -> list[Reply]:
        names = iter(range(1000))
        last = len(sizes) - 1
        return [
            reply(
                {
                    "data": [{"id": f"t{next(names)}", **TRIGGER} for _ in range(size)],
                    "next_cursor": None if index == last else f"c{index}",
                }
            )
            for index, size in enumerate(sizes)
        ]  # fmt: skip

    def test_every_page_is_fetched(self) -> None:
        done = Done(lambda s: AsyncTriggers(s).list(), self.pages(2, 0, 1))
        assert [item.id for item in done.items] == ["t0", "t1", "t2"]
        assert done.did[1:] == [
            "GET /api/v1/triggers?limit=100&cursor=c0",
            "GET /api/v1/triggers?limit=100&cursor=c1",
        ]

    def test_a_limit_is_of_all_items(self) -> None:
        done = Done(lambda s: AsyncTriggers(s).list(limit=150), self.pages(100, 50, 9)[:2])
        assert len(done.items) == 150
        assert done.did == ["GET /api/v1/triggers?limit=100", "GET /api/v1/triggers?limit=50&cursor=c0"]
        assert Done(lambda s: AsyncTriggers(s).list(limit=0), []).items == []

    def test_a_cursor_that_does_not_move_ends_the_list(self) -> None:
        page = reply({"data": [], "next_cursor": "same"})
        assert Done(lambda s: AsyncTriggers(s).list(), [page, page]).items == []


class TestFollow:
    def test_events_come_once_and_in_order_over_a_broken_connection(self) -> None:
        done = Done(lambda s: follow(s, "ex_1", 0),
            [
                OPENED, event(1) + "\n" + event(2), event(None, "step.delta"), Closed(1006, ""),
                OPENED, event(2) + "\n" + event(3), Closed(1012, "the server stops"),
                REFUSED, OPENED, event(4, "execution.succeeded"),
            ],
        )  # fmt: skip
        assert [item.seq for item in done.items] == [1, 2, None, 3, 4]
        opened = [did for did in done.did if did.startswith("open")]
        assert [one.partition("after=")[2] for one in opened] == ["0", "2", "3", "3"]

    def test_a_gap_is_fetched_again_where_it_was_whole(self) -> None:
        done = Done(
            lambda s: follow(s, "ex_1", 0),
            [OPENED, event(1), event(3), OPENED, event(2) + "\n" + event(3, "execution.failed")],
        )
        assert [item.seq for item in done.items] == [1, 2, 3]

    def test_line_separators_of_unicode_are_no_ends_of_lines(self) -> None:
        odd = event(1, data={"text": "a\u2028b\x85c"})
        odd = odd.replace("\\u2028", "\u2028").replace("\\u0085", "\x85")
        done = Done(lambda s: follow(s, "ex_1", 0), [OPENED, odd + "\n" + event(2, "execution.failed")])
        assert done.items[0].data == {"text": "a\u2028b\x85c"}

    def test_an_end_without_the_last_event_is_checked(self) -> None:
        ended = Done(lambda s: follow(s, "ex_1", 4), [OPENED, Closed(1000, ""), reply(ENDED)])
        assert ended.items == []
        proxy = [OPENED, event(1), Closed(1000, ""), reply(EXECUTION), OPENED, event(2, "execution.failed")]
        assert [item.seq for item in Done(lambda s: follow(s, "ex_1", 0), proxy).items] == [1, 2]

    def test_giving_up_says_why(self) -> None:
        fails(lambda s: follow(s, "ex_1", 0), [REFUSED] * 3, ConnectionFailed)
        again = fails(lambda s: follow(s, "ex_1", 0), [OPENED, Closed(1006, "gone")] * 3, ConnectionFailed)
        assert "1006 gone" in str(again)
        fails(lambda s: follow(s, "ex_1", 0), [problem(404, "not-found")], NotFound)
        fails(
            lambda s: follow(s, "ex_1", 0),
            [OPENED, event(1), Closed(1008, ""), problem(401, "unauthorized")],
            Unauthorized,
        )
        fails(lambda s: follow(s, "ex_1", 0), [OPENED, "not json"], UnexpectedReply)

    def test_progress_makes_the_tries_start_anew(self) -> None:
        outcomes: list[Any] = []
        for seq in range(1, 8):
            outcomes += [OPENED, event(seq), Closed(1006, ""), REFUSED]
        outcomes += [OPENED, event(8, "execution.cancelled")]
        assert len(Done(lambda s: follow(s, "ex_1", 0), outcomes).items) == 8

    def test_following_everything_gives_up_too(self) -> None:
        broken = [OPENED, event(1), Closed(1006, ""), REFUSED, REFUSED]
        fails(lambda s: follow_all(s, status="failed"), broken, ConnectionFailed)

    def test_stream_lost_stands_where_events_are_missing(self) -> None:
        script = Script(OPENED, event(1), Closed(1006, ""), OPENED, event(9))
        items = AsyncItems(follow_all(session(script)))
        seen = [run(items.__anext__()) for _ in range(3)]
        run(items.aclose())
        assert [(item.type, item.seq) for item in seen] == [("step.log", 1), ("stream.lost", None), ("step.log", 9)]


class TestWaiting:
    def test_the_stream_tells_the_end(self) -> None:
        outcomes = [reply(EXECUTION), OPENED, event(3), event(4, "execution.succeeded"), reply(ENDED)]
        done = Done(waiting(), outcomes)
        assert done.result.result() == 5
        assert done.did[1] == "open /api/v1/executions/ex_1/stream?after=2"

    def test_without_a_stream_it_is_asked_for(self) -> None:
        no_sockets = Reply(426, {"content-type": "text/html"}, b"no")
        done = Done(waiting(), [reply(EXECUTION), no_sockets, reply(EXECUTION), reply(EXECUTION), reply(ENDED)])
        ask = "GET /api/v1/executions/ex_1"
        assert done.did[2:] == [ask, "sleep 0.05", ask, "sleep 0.1", ask]

    def test_time_runs_out(self) -> None:
        outcomes = [reply(EXECUTION), OPENED, event(3), SILENCE, reply(EXECUTION)]
        error = fails(waiting(timeout=3), outcomes, WaitTimeout)
        assert error.execution.status == "running"
        assert "after 3 s" in str(error)
        fails(waiting(timeout=0), [reply(EXECUTION), reply(EXECUTION)], WaitTimeout)

    def test_run_starts_with_a_wait_and_goes_on_with_the_stream(self) -> None:
        done = Done(lambda s: AsyncExecutions(s).run("w", {}), [reply(ENDED)])
        assert done.did == ["POST /api/v1/executions"]
        assert done.sent[0].headers["prefer"] == "wait=30"
        outcomes = [reply(EXECUTION, 202), OPENED, event(3), event(4, "execution.succeeded"), reply(ENDED)]
        assert Done(lambda s: AsyncExecutions(s).run("w", {}, timeout=60), outcomes).result.output == 5

    def test_an_ended_execution_is_not_waited_for(self) -> None:
        assert isinstance(Done(waiting(), [reply(ENDED)]).result, Execution)


def test_a_coroutine_that_suspends_is_refused_by_the_blocking_client() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="must not suspend"):
        run(suspends())
