"""The pure core: programs are driven by hand, with outcomes of our choosing and no network at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aicflow_sdk import (
    APIError,
    Conflict,
    ConnectionFailed,
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
from aicflow_sdk.call import Call, path, query
from aicflow_sdk.calls import api_keys, catalogue, executions, triggers, workflows
from aicflow_sdk.effects import Closed, Emit, Now, Open, Opened, Program, Receive, Send, Silence, Sleep, Unreached
from aicflow_sdk.follow import follow, follow_all, run, wait_for
from aicflow_sdk.programs import Toolbox, all_pages, perform
from aicflow_sdk.replies import Reply, error_of

TOOLS = Toolbox(retry=Retry(random=lambda: 1.0), reconnect=Retry(attempts=3, random=lambda: 1.0))
LOST = Unreached(ConnectionFailed("lost"), sent=True)
REFUSED = Unreached(ConnectionFailed("refused"), sent=False)


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
    "trigger": {"kind": "api"}, "last_seq": 2, "something_newer": {"a": 1},
}  # fmt: skip
TRIGGER = {"workflow_id": "w", "trigger_id": "t", "type_id": "x", "version": 1, "status": "active", "params": {}}
ENDED = {**EXECUTION, "status": "succeeded", "output": 5, "last_seq": 4}


class Driven:
    """A program being driven: what it did, in words, what it emitted, and its result."""

    def __init__(self, program: Program[Any], outcomes: list[Any]) -> None:
        self.did: list[str] = []
        self.items: list[Any] = []
        self.result: Any = None
        clock = 0.0
        outcome: Any = None
        outcomes = list(outcomes)
        try:
            while True:
                effect = program.send(outcome)
                outcome = None
                match effect:
                    case Send(call):
                        self.did.append(f"{call.method} {call.path}")
                    case Sleep(seconds):
                        self.did.append(f"sleep {seconds:g}")
                        clock += seconds
                    case Open(where):
                        self.did.append(f"open {where}")
                    case Receive(timeout):
                        self.did.append("receive" if timeout is None else f"receive {timeout:g}")
                    case Emit(item):
                        self.items.append(item)
                    case Now():
                        outcome = clock
                if isinstance(effect, Send | Open | Receive):
                    assert outcomes, f"nothing is left to answer {effect}"
                    outcome = outcomes.pop(0)
                    if isinstance(outcome, Silence) and isinstance(effect, Receive):
                        clock += effect.timeout or 0
        except StopIteration as stop:
            self.result = stop.value
        assert not outcomes, f"unused: {outcomes}"


def fails(program: Program[Any], outcomes: list[Any], kind: type[Exception]) -> Any:
    with pytest.raises(kind) as caught:
        Driven(program, outcomes)
    return caught.value


def event(seq: int | None, kind: str = "step.log", **more: Any) -> str:
    given = {"type": kind, "execution_id": "ex_1", "data": {}, **more}
    return json.dumps(given if seq is None else {"seq": seq, "time": "2026-01-01T00:00:00Z", **given})


class TestCalls:
    def test_ids_cannot_become_other_paths(self) -> None:
        assert workflows.get("a/../b?x=1#y").path == "/api/v1/workflows/a%2F..%2Fb%3Fx%3D1%23y"
        assert triggers.pause("w:hook").path == "/api/v1/triggers/w:hook/pause"
        for wrong in ("", ".", ".."):
            with pytest.raises(ValueError, match="not an id"):
                path("workflows", wrong)

    def test_queries_hold_what_was_said(self) -> None:
        when = datetime(2026, 1, 2, tzinfo=UTC)
        call = executions.list_(status=["failed", "cancelled"], created_after=when, workflow_id="a&b").page(None)
        assert call.path == (
            "/api/v1/executions?workflow_id=a%26b&status=failed%2Ccancelled&created_after=2026-01-02T00%3A00%3A00Z&limit=100"
        )
        assert (
            workflows.list_(enabled=False).page("c=", 7).path == "/api/v1/workflows?enabled=false&limit=7&cursor=c%3D"
        )
        assert query(a=None) == ""
        with pytest.raises(ValueError, match="no time zone"):
            executions.list_(created_after=datetime(2026, 1, 2))

    def test_every_creating_call_carries_a_key_of_its_own(self) -> None:
        for call in (
            executions.start, executions.rerun, executions.bulk_cancel, executions.bulk_rerun, workflows.create,
            triggers.fire, triggers.replay, api_keys.create,
        ):  # fmt: skip
            given: dict[Any, tuple[Any, ...]] = {
                workflows.create: ({},), triggers.replay: ("t", "d"), api_keys.create: ("k", ["read"]),
                executions.bulk_cancel: (), executions.bulk_rerun: (),
            }  # fmt: skip
            first, second = (call(*given.get(call, ("x",))) for _ in range(2))  # type: ignore[operator]
            assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
            assert first.repeatable
            mine = call(*given.get(call, ("x",)), idempotency_key="mine")  # type: ignore[operator]
            assert mine.headers["idempotency-key"] == "mine"

    def test_a_start_says_what_it_was_given(self) -> None:
        first = executions.start("w", {"a": 1})
        empty = executions.start("w", idempotency_key="")
        assert empty.headers["idempotency-key"] == "", "the server refuses it; a key that went missing is a mistake"
        assert executions.start("w", idempotency_key="mine", wait=7).headers == {
            "idempotency-key": "mine", "prefer": "wait=7"
        }  # fmt: skip
        assert json.loads(first.body or b"") == {"workflow_id": "w", "input": {"a": 1}}

    def test_what_is_unsafe_to_repeat_is_marked_so(self) -> None:
        once = [executions.resume("e", 1), workflows.restore("w", 1), workflows.update("w", {}, etag='"1"')]
        again = [executions.cancel("e"), workflows.update("w", {}), workflows.delete("w"), catalogue.ready()]
        assert [call.repeatable for call in once] == [False] * len(once)
        assert [call.repeatable for call in again] == [True] * len(again)

    def test_rerun_tells_null_from_the_same_input(self) -> None:
        assert json.loads(executions.rerun("e").body or b"") == {"version": "pinned"}
        assert json.loads(executions.rerun("e", input=None).body or b"") == {"version": "pinned", "input": None}


class TestPerform:
    call = workflows.get("w")

    def test_safe_calls_are_sent_again_with_growing_delays(self) -> None:
        outcomes = [REFUSED, LOST, problem(503, "unavailable"), problem(502, "x"), reply(EXECUTION)]
        driven = Driven(perform(executions.get("ex_1"), TOOLS), outcomes)
        assert [did for did in driven.did if "sleep" in did] == ["sleep 0.25", "sleep 0.5", "sleep 1", "sleep 2"]
        assert driven.result.id == "ex_1"

    def test_the_attempts_are_counted(self) -> None:
        assert fails(perform(self.call, TOOLS), [LOST] * 5, ConnectionFailed) is LOST.error
        fails(perform(self.call, TOOLS), [problem(503, "unavailable")] * 5, Unavailable)

    def test_a_call_that_may_have_been_done_is_not_sent_again(self) -> None:
        call = executions.resume("ex_1", 1)
        fails(perform(call, TOOLS), [LOST], ConnectionFailed)
        fails(perform(call, TOOLS), [problem(503, "unavailable")], Unavailable)
        driven = Driven(perform(call, TOOLS), [REFUSED, problem(429, "rate-limited"), reply(EXECUTION, 202)])
        assert driven.result.status == "running"

    def test_retry_after_counts_with_a_little_jitter_and_not_for_ever(self) -> None:
        driven = Driven(
            perform(executions.get("e"), TOOLS), [problem(429, "rate-limited", retry_after="7"), reply(EXECUTION)]
        )
        assert driven.did[1] == "sleep 7.25"
        error = fails(perform(self.call, TOOLS), [problem(429, "rate-limited", retry_after="3600")], RateLimited)
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
            assert fails(perform(self.call, TOOLS), [problem(status, code)], kind).status == status

    def test_a_repeated_delete_that_finds_nothing_has_done_its_work(self) -> None:
        gone = problem(404, "not-found")
        assert Driven(perform(workflows.delete("w"), TOOLS), [LOST, gone]).result is None
        fails(perform(workflows.delete("w"), TOOLS), [gone], NotFound)
        fails(perform(workflows.delete("w"), TOOLS), [REFUSED, gone], NotFound)

    def test_what_is_not_the_api_is_said_so(self) -> None:
        page = Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html><script>x</script><h1>Sign in</h1>")
        assert "text/html" in str(fails(perform(self.call, TOOLS), [page], UnexpectedReply))
        assert "Sign in" in str(fails(perform(self.call, TOOLS), [page], UnexpectedReply))
        broken = Reply(200, {"content-type": "application/json"}, b'{"id": ')
        fails(perform(self.call, TOOLS), [broken], UnexpectedReply)
        assert "status is missing" in str(fails(perform(executions.get("e"), TOOLS), [reply({"id": "e", "workflow_id": "w", "version": 1})], UnexpectedReply))  # noqa: E501  # fmt: skip
        wrong = {**EXECUTION, "trigger": {"kind": 5}}
        assert "trigger.kind is not a text" in str(
            fails(perform(executions.get("e"), TOOLS), [reply(wrong)], UnexpectedReply)
        )
        moved = Reply(302, {"location": "https://login.example"}, b"")
        assert "https://login.example" in str(fails(perform(self.call, TOOLS), [moved], UnexpectedReply))

    def test_readiness_is_an_answer_also_when_it_is_not_ready(self) -> None:
        body = {"status": "not-ready", "checks": {"store": "down"}, "plugins": {}}
        ready = Driven(perform(catalogue.ready(), TOOLS), [reply(body, 503)]).result
        assert not ready.ready
        assert ready.checks == {"store": "down"}


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
        driven = Driven(all_pages(triggers.list_(), TOOLS), self.pages(2, 0, 1))
        assert [item.id for item in driven.items] == ["t0", "t1", "t2"]
        assert driven.did[1:] == [
            "GET /api/v1/triggers?limit=100&cursor=c0",
            "GET /api/v1/triggers?limit=100&cursor=c1",
        ]

    def test_a_limit_is_of_all_items(self) -> None:
        driven = Driven(all_pages(triggers.list_(limit=150), TOOLS), self.pages(100, 50, 9)[:2])
        assert len(driven.items) == 150
        assert driven.did == ["GET /api/v1/triggers?limit=100", "GET /api/v1/triggers?limit=50&cursor=c0"]
        assert Driven(all_pages(triggers.list_(limit=0), TOOLS), []).items == []

    def test_a_cursor_that_does_not_move_ends_the_list(self) -> None:
        page = reply({"data": [], "next_cursor": "same"})
        assert Driven(all_pages(triggers.list_(), TOOLS), [page, page]).items == []


class TestFollow:
    def test_events_come_once_and_in_order_over_a_broken_connection(self) -> None:
        driven = Driven(
            follow("ex_1", 0, TOOLS),
            [
                Opened(), event(1) + "\n" + event(2), event(None, "step.delta"), Closed(1006, ""),
                Opened(), event(2) + "\n" + event(3), Closed(1012, "the server stops"),
                REFUSED, Opened(), event(4, "execution.succeeded"),
            ],
        )  # fmt: skip
        assert [item.seq for item in driven.items] == [1, 2, None, 3, 4]
        opened = [did for did in driven.did if did.startswith("open")]
        assert [one.partition("after=")[2] for one in opened] == ["0", "2", "3", "3"]

    def test_a_gap_is_fetched_again_where_it_was_whole(self) -> None:
        driven = Driven(
            follow("ex_1", 0, TOOLS),
            [Opened(), event(1), event(3), Opened(), event(2) + "\n" + event(3, "execution.failed")],
        )
        assert [item.seq for item in driven.items] == [1, 2, 3]

    def test_line_separators_of_unicode_are_no_ends_of_lines(self) -> None:
        odd = event(1, data={"text": "a\u2028b\x85c"})
        odd = odd.replace("\\u2028", "\u2028").replace("\\u0085", "\x85")
        driven = Driven(follow("ex_1", 0, TOOLS), [Opened(), odd + "\n" + event(2, "execution.failed")])
        assert driven.items[0].data == {"text": "a\u2028b\x85c"}

    def test_an_end_without_the_last_event_is_checked(self) -> None:
        ended = Driven(follow("ex_1", 4, TOOLS), [Opened(), Closed(1000, ""), reply(ENDED)])
        assert ended.items == []
        proxy = [Opened(), event(1), Closed(1000, ""), reply(EXECUTION), Opened(), event(2, "execution.failed")]
        assert [item.seq for item in Driven(follow("ex_1", 0, TOOLS), proxy).items] == [1, 2]

    def test_giving_up_says_why(self) -> None:
        fails(follow("ex_1", 0, TOOLS), [REFUSED] * 3, ConnectionFailed)
        again = fails(follow("ex_1", 0, TOOLS), [Opened(), Closed(1006, "gone")] * 3, ConnectionFailed)
        assert "1006 gone" in str(again)
        fails(follow("ex_1", 0, TOOLS), [problem(404, "not-found")], NotFound)
        fails(
            follow("ex_1", 0, TOOLS), [Opened(), event(1), Closed(1008, ""), problem(401, "unauthorized")], Unauthorized
        )
        fails(follow("ex_1", 0, TOOLS), [Opened(), "not json"], UnexpectedReply)

    def test_progress_makes_the_tries_start_anew(self) -> None:
        outcomes: list[Any] = []
        for seq in range(1, 8):
            outcomes += [Opened(), event(seq), Closed(1006, ""), REFUSED]
        outcomes += [Opened(), event(8, "execution.cancelled")]
        assert len(Driven(follow("ex_1", 0, TOOLS), outcomes).items) == 8

    def test_following_everything_gives_up_too(self) -> None:
        broken = [Opened(), event(1), Closed(1006, ""), REFUSED, REFUSED]
        fails(follow_all("?status=failed", TOOLS), broken, ConnectionFailed)

    def test_stream_lost_stands_where_events_are_missing(self) -> None:
        seen: list[Any] = []
        program = follow_all("", TOOLS)
        outcome: Any = None
        script = iter([Opened(), event(1), Closed(1006, ""), Opened(), event(9)])
        while len(seen) < 3:
            effect = program.send(outcome)
            outcome = None
            if isinstance(effect, Emit):
                seen.append(effect.item)
            elif isinstance(effect, Open | Receive):
                outcome = next(script)
        assert [(item.type, item.seq) for item in seen] == [("step.log", 1), ("stream.lost", None), ("step.log", 9)]


class TestWaiting:
    def test_the_stream_tells_the_end(self) -> None:
        execution = executions.get("ex_1").parse(reply(EXECUTION))
        outcomes = [Opened(), event(3), event(4, "execution.succeeded"), reply(ENDED)]
        driven = Driven(wait_for(execution, None, TOOLS), outcomes)
        assert driven.result.result() == 5
        assert driven.did[0] == "open /api/v1/executions/ex_1/stream?after=2"

    def test_without_a_stream_it_is_asked_for(self) -> None:
        execution = executions.get("ex_1").parse(reply(EXECUTION))
        no_sockets = Reply(426, {"content-type": "text/html"}, b"no")
        driven = Driven(
            wait_for(execution, None, TOOLS), [no_sockets, reply(EXECUTION), reply(EXECUTION), reply(ENDED)]
        )
        ask = "GET /api/v1/executions/ex_1"
        assert driven.did[1:] == [ask, "sleep 0.05", ask, "sleep 0.1", ask]

    def test_time_runs_out(self) -> None:
        execution = executions.get("ex_1").parse(reply(EXECUTION))
        error = fails(wait_for(execution, 3, TOOLS), [Opened(), event(3), Silence(), reply(EXECUTION)], WaitTimeout)
        assert error.execution.status == "running"
        assert "after 3 s" in str(error)
        fails(wait_for(execution, 0, TOOLS), [reply(EXECUTION)], WaitTimeout)

    def test_run_starts_with_a_wait_and_goes_on_with_the_stream(self) -> None:
        driven = Driven(run("w", {}, None, TOOLS), [reply(ENDED)])
        assert driven.did == ["POST /api/v1/executions"]
        outcomes = [reply(EXECUTION, 202), Opened(), event(3), event(4, "execution.succeeded"), reply(ENDED)]
        assert Driven(run("w", {}, 60, TOOLS), outcomes).result.output == 5

    def test_an_ended_execution_is_not_waited_for(self) -> None:
        execution = executions.get("ex_1").parse(reply(ENDED))
        assert Driven(wait_for(execution, None, TOOLS), []).result is execution


def test_calls_are_values() -> None:
    call: Call[Any] = workflows.get("w")
    with pytest.raises(AttributeError):
        call.method = "POST"  # type: ignore[misc]
