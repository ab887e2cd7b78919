"""The ASGI apps behind /forms and /form-links: pages for people, problem documents for programs."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from aicflow import (
    AICFlowError,
    Conflict,
    InputInvalid,
    JsonError,
    NotFound,
    Problem,
    Runtime,
    Step,
    StoreUnavailable,
    cut,
    problem_of,
    read_json,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from aicflow_forms.fields import Field, Typed, fields_of, read_form, typed_from
from aicflow_forms.links import PURPOSE, Link, public_url
from aicflow_forms.pages import Page, form_page, note_page
from aicflow_forms.schemas import misfits
from aicflow_forms.trigger import FormTrigger
from aicflow_forms.wait import FORM

_MOST_BYTES: Final = 262_144
_SUBMISSION: Final = "_submission"
_SUBMISSION_ID: Final = re.compile(r"[A-Za-z0-9._~-]{8,128}")
_BUSY: Final = frozenset(("pending", "running", "retrying"))
_BUSY_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 3.0
_TRIES: Final = 20
_UNKNOWN: Final = ("not-found", "This link is not valid. Check that it was copied whole.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a waiting step asks, as its page shows it."""

    link: Link
    schema: Mapping[str, Any]
    message: str | None
    until: float | None

    @property
    def choices(self) -> list[str]:
        """What can be chosen."""
        return list(self.schema[FORM]["choices"])

    @property
    def answer_schema(self) -> dict[str, Any]:
        """What the answer must fit, with the definitions that it refers to."""
        rest = {key: value for key, value in self.schema.items() if key == "$defs"}
        return {**self.schema["properties"]["answer"], **rest}

    def page(self, fields: list[Field], typed: Typed, errors: Mapping[str, str]) -> Page:
        """The form, with what was typed so far."""
        about = [f"For {self.link.approver}."] if self.link.approver else []
        if self.until is not None:
            about.append(f"Open until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC.")
        title = str(self.schema.get("title", "Form"))
        return Page(title, fields, self.message, " ".join(about), self.choices, typed=typed, errors=errors)


class FormsApp:
    """`/forms/{token}` answers a waiting step, `/forms/start/{path}` starts an execution. Looking changes nothing."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except (AICFlowError, Problem) as error:
            problem = problem_of(error)
            if problem is None:
                raise
            response = _told(problem, request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
        if request.method not in ("GET", "HEAD", "POST"):
            raise Problem("method-not-allowed", "A form takes GET and POST.", headers={"Allow": "GET, HEAD, POST"})
        first, _, rest = path.partition("/")
        if first == "start":
            return await self._start(request, rest)
        link = Link.read(path, self._host.signing_key(PURPOSE))
        if link is None:
            raise Problem(*_UNKNOWN)
        asked = await self._asked(link)
        if request.method != "POST":
            fields = fields_of(asked.answer_schema)
            return form_page(asked.page(fields, typed_from(fields), {}))
        return await self._take(request, link)

    # Answers of waiting steps

    async def _asked(self, link: Link) -> Asked:
        """What the step of a link asks now. Raises Problem when it asks nothing any more."""
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                step = await self._host.step(link.execution_id, link.step_id)
            except NotFound:
                raise Problem(*_UNKNOWN) from None
            schema = (step.wait or {}).get("answer_schema")
            if step.status == "waiting" and isinstance(schema, dict) and FORM in schema:
                assert step.wait is not None
                return Asked(link, schema, step.wait.get("message"), step.wait.get("until_seconds"))
            if step.status not in _BUSY:
                raise _closed(step)
            if time.monotonic() > end:
                raise Problem("unavailable", "This form is not ready; try again soon.", headers={"Retry-After": "5"})
            await asyncio.sleep(0.05)  # a reminder is being sent

    async def _take(self, request: Request, link: Link) -> Response:
        sent, is_json = await _received(request, _MOST_BYTES)
        for _ in range(_TRIES):
            asked = await self._asked(link)
            fields = fields_of(asked.answer_schema)
            typed: Typed = {}
            errors: dict[str, str] = {}
            if is_json:
                value = {key: sent[key] for key in sent if key in ("answer", "choice")}
                if extra := sorted(sent.keys() - value.keys() - {"by"}):
                    raise _unknown_members(extra)
            else:
                typed = sent
                answer, errors = read_form(fields, typed)
                value = {"answer": answer} | ({"choice": typed["choice"][-1]} if typed.get("choice") else {})
            if asked.choices and value.get("choice") not in asked.choices:
                errors["/choice"] = f"Choose one of: {', '.join(asked.choices)}."
            if not errors:
                try:
                    await self._host.resume(link.execution_id, link.step_id, {**value, "by": link.approver})
                except InputInvalid as error:
                    errors = _at_fields(error.violations, "/answer", fields)
                except Conflict as error:
                    if error.code == "answered":
                        raise Problem("form-closed", _ANSWERED, status=410) from None
                    continue  # it has gone on in this moment: look again
                else:
                    await self._counts(asked)
                    return _thanks("Your answer has arrived.", request)
            if is_json or _wants_json(request):
                raise _invalid(errors)
            return form_page(asked.page(fields, typed, errors), 422)
        raise Problem("form-closed", "An answer is no longer needed.", status=410)

    async def _counts(self, asked: Asked) -> None:
        """An answer of the last moment may come too late: say so rather than thank for it."""
        if asked.until is None or asked.until - time.time() > _LATE_SECONDS:
            return
        end = time.monotonic() + _LATE_SECONDS
        while time.monotonic() < end:
            step = await self._host.step(asked.link.execution_id, asked.link.step_id)
            if step.finished_at is not None:
                if isinstance(step.output, dict) and step.output.get("answered") is False:
                    raise _closed(step)
                return
            await asyncio.sleep(0.05)

    # Forms that start executions

    async def _start(self, request: Request, path: str) -> Response:
        trigger: FormTrigger = self._host.trigger_type(FormTrigger.type_id)
        live = trigger.find(path)
        if live is None:
            raise Problem("not-found", "There is no form at this address.")
        params = live.params
        if params is None or live.binding.paused:
            raise Problem("unavailable", "This form is closed at the moment.", headers={"Retry-After": "60"})
        fields = fields_of(params.answer_schema)

        def page(typed: Typed, errors: Mapping[str, str], submission: str) -> Page:
            return Page(
                params.title,
                fields,
                params.message,
                submit=params.submit,
                typed=typed,
                errors=errors,
                hidden={_SUBMISSION: submission},
                leads_to=params.redirect,
            )

        if request.method != "POST":
            return form_page(page(typed_from(fields), {}, secrets.token_urlsafe(18)))
        sent, is_json = await _received(request, params.max_body_bytes)
        submission = request.headers.get("idempotency-key") if is_json else (sent.get(_SUBMISSION) or [""])[-1]
        if not submission or not _SUBMISSION_ID.fullmatch(submission):
            submission = None
        errors: dict[str, str] = {}
        if is_json:
            if extra := sorted(sent.keys() - {"answer"}):
                raise _unknown_members(extra)
            answer = sent.get("answer")
        else:
            answer, errors = read_form(fields, sent)
        errors = errors or _at_fields(misfits(params.answer_schema, answer), "", fields)
        if errors:
            if is_json or _wants_json(request):
                raise _invalid(errors)
            return form_page(page(sent, errors, submission or secrets.token_urlsafe(18)), 422)
        payload = {"answer": answer, "submission_id": submission, "received_at": _now(trigger.runtime.clock.now())}
        try:
            fired = await trigger.runtime.fire(
                live.binding, payload, key=submission, traceparent=request.headers.get("traceparent")
            )
        except StoreUnavailable:
            raise Problem(
                "unavailable", "It could not be stored; send it again.", headers={"Retry-After": "5"}
            ) from None
        except Conflict:
            raise Problem("not-found", "There is no form at this address.") from None
        if fired.execution_id is None:
            raise Problem("limit-reached", "Too many are being worked on; send it again later.")
        if params.redirect is not None and not is_json and not _wants_json(request):
            return RedirectResponse(params.redirect, 303)
        return _thanks(params.thanks, request, is_json=is_json)


class LinksApp:
    """`/form-links/{execution_id}/{step_id}` lists the links of a waiting step, for who may answer it anyhow."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        try:
            response = await self._links(request)
        except (AICFlowError, Problem) as error:
            problem = problem_of(error)
            if problem is None:
                raise
            response = problem.response(scope)
        await response(scope, receive, send)

    async def _links(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
        execution_id, _, step_id = path.partition("/")
        if request.method not in ("GET", "HEAD"):
            raise Problem("method-not-allowed", "Links are read with GET.", headers={"Allow": "GET, HEAD"})
        step = await self._host.step(execution_id, step_id)
        wait = step.wait or {}
        form = (wait.get("answer_schema") or {}).get(FORM) if isinstance(wait.get("answer_schema"), dict) else None
        if step.status != "waiting" or form is None:
            raise Problem("not-waiting", f"Step {step_id!r} does not wait for a form.")
        base = public_url() or str(request.base_url).partition("/form-links")[0].rstrip("/")
        key = self._host.signing_key(PURPOSE)
        links = [
            {"approver": one, "link": f"{base}/forms/{Link(execution_id, step_id, one).token(key)}"}
            for one in form["approvers"] or [None]
        ]
        return JSONResponse({"data": links, "expires_at": wait.get("until")})


_ANSWERED: Final = "This was answered already. Each link works once."


def _closed(step: Step) -> Problem:
    late = isinstance(step.output, dict) and step.output.get("answered") is False
    text = "The time for an answer is over." if late else "An answer is no longer needed."
    if step.status == "succeeded" and not late:
        text = _ANSWERED
    return Problem("form-closed", text, status=410)


def _told(problem: Problem, request: Request) -> Response:
    """A problem as who asked can read it."""
    if _wants_json(request):
        return problem.response(request.scope)
    title = {404: "Not found", 410: "Closed", 503: "Try again later"}.get(problem.status, problem.title)
    return note_page(title, problem.detail, problem.status, problem.headers)


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return _type_of(request) == "application/json" or ("json" in accept and "text/html" not in accept)


def _type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _received(request: Request, limit: int) -> tuple[dict[str, Any], bool]:
    """What was sent, by name: lists of text from a form, an object from JSON. Raises Problem."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Problem("body-too-large", f"The answer is larger than {limit:,} bytes.")
    kind = _type_of(request)
    if kind == "application/json":
        try:
            sent = read_json(body.decode())
        except (JsonError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise Problem("body-malformed", f"The body is not JSON: {cut(str(error), 200)}") from None
        if not isinstance(sent, dict):
            raise Problem("request-invalid", 'Send an object, such as {"choice": …, "answer": …}.')
        return sent, True
    if kind == "application/x-www-form-urlencoded":
        try:
            text = body.decode("ascii")
            return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=1_000), False
        except ValueError:
            raise Problem("body-malformed", "The form is not percent-encoded UTF-8, or has too many fields.") from None
    raise Problem("unsupported-media-type", "Send application/x-www-form-urlencoded or application/json.")


def _at_fields(violations: Any, below: str, fields: list[Field]) -> dict[str, str]:
    """The messages by the pointer into the answer; what belongs to no field stands at the one around it."""
    known = {one.pointer for one in _all(fields)}
    found: dict[str, str] = {}
    for at, message in violations:
        place = at.removeprefix(below) if at.startswith(below) else at
        while place and place not in known:
            place = place.rpartition("/")[0]
        told = message if place == at.removeprefix(below) else f"{at.removeprefix(below)}: {message}"
        found.setdefault(place, f"{told[:1].upper()}{told[1:]}")
    return found


def _all(fields: Any) -> list[Field]:
    return [each for one in fields for each in (one, *_all(one.children))]


def _invalid(errors: Mapping[str, str]) -> Problem:
    entries = [{"code": "input.invalid", "pointer": at, "message": text} for at, text in errors.items()]
    return Problem("input-invalid", "The answer does not fit the form.", errors=entries)


def _unknown_members(names: list[str]) -> Problem:
    return Problem(
        "request-invalid", f"Unexpected: {cut(', '.join(names), 200)}. Send `answer`, and `choice` if asked."
    )


def _thanks(text: str, request: Request, *, is_json: bool = False) -> Response:
    if is_json or _wants_json(request):
        return JSONResponse({"accepted": True})
    return note_page("Thank you", text, 200)


def _now(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
