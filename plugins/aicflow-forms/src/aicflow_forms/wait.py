"""The node type form.wait: an execution waits for somebody's answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final

from aicflow import Context, Exit, Issue, Node, Output, Params, PermanentError, StartChild, Wait
from pydantic import Field, JsonValue, StringConstraints, model_validator

from aicflow_forms.links import PUBLIC_URL, PURPOSE, Link, public_url
from aicflow_forms.schemas import hoisted, problem_with

FORM: Final = "x-aicflow-form"
_CHOICES: Final = ("approve", "reject")
_COMMENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"comment": {"type": "string", "title": "Comment", "maxLength": 2_000}},
    "additionalProperties": False,
}
_TAKEN: Final = frozenset(("error", "main", "timeout"))
_CLOSE: Final = 0.05
_BASE32: Final = {character: value for value, character in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}

Choice = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Approver = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class FormWaitParams(Params):
    """What is asked of whom, and for how long. Without `answer_schema`, one of `choices` is asked for, with room for a
    comment."""

    title: str = Field(min_length=1, max_length=200)
    message: str | None = Field(default=None, max_length=10_000, description="Plain text below the title")
    answer_schema: dict[str, JsonValue] | None = Field(
        default=None, description="JSON Schema of the answer; its properties are the fields of the form"
    )
    choices: list[Choice] | None = Field(
        default=None,
        min_length=1,
        max_length=10,
        description="A button and a port each; `approve`, `reject` by default",
    )
    approvers: list[Approver] = Field(
        default=[], max_length=20, description="Names or addresses: each has a link, and `by` is whose link was used"
    )
    seconds: float = Field(default=604_800, ge=1, le=31_536_000, description="Time for the answer")
    notify: str | None = Field(
        default=None, min_length=1, description="Id of a workflow that is started with each link, to send it"
    )
    remind_after: float | None = Field(default=None, ge=1, le=31_536_000, description="Seconds between two reminders")
    reminders: int = Field(default=3, ge=0, le=50, description="Most reminders, with `remind_after`")

    @model_validator(mode="after")
    def _possible(self) -> FormWaitParams:
        if self.answer_schema is not None and (problem := problem_with(self.answer_schema)) is not None:
            raise ValueError(f"answer_schema: {problem}")
        if bad := set(self.choices or ()) & _TAKEN:
            raise ValueError(f"choices: {bad.pop()!r} is a port already")
        if self.choices and len(set(self.choices)) < len(self.choices):
            raise ValueError("choices: each one once")
        if len(set(self.approvers)) < len(self.approvers):
            raise ValueError("approvers: each one once")
        if self.remind_after is not None and self.notify is None:
            raise ValueError("remind_after needs notify, the workflow that sends the reminders")
        return self


class FormWaitOutput(Output):
    """What was answered. `by` is the approver whose link was used, or whom the API named; all but `answered` are null
    when the time ran out."""

    answered: bool
    choice: str | None = None
    answer: Any = None
    by: str | None = None
    at: str | None = None


class FormWait(Node[FormWaitParams, FormWaitOutput]):
    """Wait for somebody's answer to a form or a question.

    Each approver has a signed link that works once, without an API key; `POST /api/v1/executions/{id}/resume` answers
    too. `notify` names a workflow that is started with `{link, title, message, approver, reminder, expires_at,
    execution_id, step_id}` for each link, and again for each reminder: it sends them. Leaves by the port of the choice
    (by `main` when there are none), or by `timeout` when no answer came in time.
    """

    type_id = "form.wait"
    title = "Form or approval"
    category = "flow"
    ports = ("main", "timeout")
    variables: ClassVar[Mapping[str, str]] = {
        PUBLIC_URL: "Where the world reaches this server, such as `https://flow.example.com`; for the links of forms"
    }
    errors: ClassVar[Mapping[str, str]] = {
        "no-public-url": "`notify` sends links, and AICFLOW_PUBLIC_URL does not say where they lead"
    }

    async def run(
        self, ctx: Context, params: FormWaitParams
    ) -> FormWaitOutput | Exit[FormWaitOutput] | Wait | StartChild:
        """Send the links, park, and say what ended the wait."""
        if ctx.answer is not None and ctx.answer.kind == "answered" and "execution_id" not in ctx.answer.value:
            return _answered(ctx.answer.value)
        timed_out = ctx.answer is not None and ctx.answer.kind == "timeout"
        now = time.time()
        if params.notify is None:
            return _late() if timed_out else _question(params, now + params.seconds)
        sent, people = len(ctx.children), _people(params)
        began = _instant(ctx.children[0]["execution_id"]) if sent else now
        deadline = began + params.seconds
        if timed_out and now >= deadline - _CLOSE:
            return _late()
        more = params.remind_after is not None and sent // len(people) <= params.reminders
        if sent % len(people) or not sent or (timed_out and more):
            return _notice(ctx, params, people[sent % len(people)], sent // len(people), deadline)
        return _question(params, min(deadline, now + params.remind_after) if more and params.remind_after else deadline)

    @classmethod
    def ports_for(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """A port for each choice."""
        return (*(_choices(params) or ("main",)), "timeout")

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The answer has the schema that was asked for, the choice is one of those."""
        schema = dict(cls.output_schema() or {})
        choices, form = _choices(params), params.get("answer_schema", _COMMENT)
        properties = {**schema["properties"], "choice": {"enum": [*choices, None]}}
        if isinstance(form, dict) and "${{" not in str(form) and problem_with(form) is None:
            answer, definitions = hoisted(form)
            properties["answer"] = {"anyOf": [answer, {"type": "null"}]}
            schema |= definitions
        return {**schema, "properties": properties}

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Ports are known beforehand, and a schema must be one."""
        choices, form = params.get("choices"), params.get("answer_schema")
        if isinstance(choices, str) or (isinstance(choices, list) and any("${{" in str(one) for one in choices)):
            message = "The choices must be written out: they are the node's ports."
            return (Issue("param.invalid", "error", "/choices", message),)
        if isinstance(form, dict) and "${{" not in str(form) and (problem := problem_with(form)) is not None:
            return (
                Issue("param.invalid", "error", "/answer_schema", f"No form can be made of this schema: {problem}."),
            )
        return ()


def _choices(params: Mapping[str, Any]) -> tuple[str, ...]:
    written = params.get("choices")
    if isinstance(written, list) and all(isinstance(one, str) for one in written):
        return tuple(dict.fromkeys(written))
    return _CHOICES if written is None and params.get("answer_schema") is None else ()


def _question(params: FormWaitParams, until: float) -> Wait:
    """The wait. Its schema says what the page needs to know, beside what an answer must be."""
    choices = _choices({"choices": params.choices, "answer_schema": params.answer_schema})
    answer, definitions = hoisted(params.answer_schema if params.answer_schema is not None else _COMMENT)
    schema: dict[str, Any] = {
        "title": params.title,
        "type": "object",
        "properties": {"answer": answer, "by": {"type": ["string", "null"], "maxLength": 200}},
        "required": ["answer"] if params.answer_schema is not None else [],
        "additionalProperties": False,
        FORM: {"choices": list(choices), "approvers": params.approvers},
        **definitions,
    }
    if choices:
        schema["properties"]["choice"] = {"enum": list(choices)}
        schema["required"].append("choice")
    return Wait(until=until, answer_schema=schema, message=params.message, again=True)


def _notice(ctx: Context, params: FormWaitParams, approver: str | None, reminder: int, deadline: float) -> StartChild:
    base = public_url()
    if base is None:
        raise PermanentError(
            "There is no public URL that links could begin with.",
            code="no-public-url",
            hint=f"Set {PUBLIC_URL} to where the world reaches this server, such as https://flow.example.com.",
        )
    token = Link(ctx.execution_id, ctx.node_id, approver).token(ctx.signing_key(PURPOSE))
    input = {
        "link": f"{base}/forms/{token}",
        "title": params.title,
        "message": params.message,
        "approver": approver,
        "reminder": reminder,
        "expires_at": _iso(deadline),
        "execution_id": ctx.execution_id,
        "step_id": ctx.node_id,
    }
    assert params.notify is not None
    return StartChild(params.notify, input, detach=True)


def _people(params: FormWaitParams) -> Sequence[str | None]:
    return params.approvers or (None,)


def _answered(given: Mapping[str, Any]) -> FormWaitOutput | Exit[FormWaitOutput]:
    choice = given.get("choice")
    output = FormWaitOutput(
        answered=True, choice=choice, answer=given.get("answer"), by=given.get("by"), at=_iso(time.time())
    )
    return Exit(choice, output) if choice is not None else output


def _late() -> Exit[FormWaitOutput]:
    return Exit("timeout", FormWaitOutput(answered=False))


def _instant(execution_id: str) -> float:
    """When an execution was made: its id begins with the milliseconds."""
    number = 0
    for character in execution_id.rpartition("_")[2][:10]:
        number = number * 32 + _BASE32[character]
    return number / 1000


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
