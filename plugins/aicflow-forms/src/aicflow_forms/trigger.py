"""The trigger type trigger.form: a public page whose form starts executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from aicflow import Binding, Issue, Output, Params, Trigger, TriggerRuntime
from pydantic import Field, JsonValue, StringConstraints

from aicflow_forms.schemas import hoisted, problem_with


class FormParams(Params):
    """A page at `/forms/start/{path}`."""

    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=200)]
    title: str = Field(min_length=1, max_length=200)
    message: str | None = Field(default=None, max_length=10_000, description="Plain text below the title")
    answer_schema: dict[str, JsonValue] = Field(
        default={},
        description="JSON Schema of the answer; its properties are the fields. By default the workflow's input_schema",
        json_schema_extra={"x-aicflow": {"default": "input_schema"}},
    )
    submit: str = Field(default="Send", min_length=1, max_length=100, description="What the button says")
    thanks: str = Field(default="Thank you, your answer has arrived.", max_length=2_000)
    redirect: (
        Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@\\;,]+([/?#]\S*)?$", max_length=2_000)] | None
    ) = Field(default=None, description="Where the browser goes afterwards, instead of a page that says thanks")
    max_body_bytes: int = Field(default=262_144, ge=1_024, le=5_242_880)


class FormPayload(Output):
    """What was sent. `submission_id` is the same when the same form was sent twice, which starts one execution."""

    answer: Any
    submission_id: str | None
    received_at: str


@dataclass(frozen=True, slots=True)
class Live:
    """A page that can be reached. `params` is None while it cannot be activated."""

    binding: Binding
    params: FormParams | None


class FormTrigger(Trigger[FormParams, FormPayload]):
    """Start an execution for each form that is sent.

    The page works from the moment the workflow is saved and stops at once when the workflow is disabled or deleted.
    Anybody who knows its address can send it.
    """

    type_id = "trigger.form"
    title = "Form"

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}

    async def start(self, runtime: TriggerRuntime) -> None:
        """Nothing to open: the host mounts the pages."""
        self.runtime = runtime

    async def stop(self) -> None:
        """No page is live any more."""
        self._live.clear()

    async def activate(self, binding: Binding, params: FormParams) -> None:
        """The page is live from now on."""
        self._put(params.path, Live(binding, params))

    async def unavailable(self, binding: Binding, params: Mapping[str, Any], problem: str) -> None:
        """The page is known and says that it cannot work now."""
        await self.deactivate(binding)
        if isinstance(path := params.get("path"), str):
            self._put(path, Live(binding, None))

    async def deactivate(self, binding: Binding) -> None:
        """The page is gone from now on."""
        self._live = {path: live for path, live in self._live.items() if live.binding.id != binding.id}

    def _put(self, path: str, live: Live) -> None:
        self._live = {at: one for at, one in self._live.items() if one.binding.id != live.binding.id} | {path: live}

    def find(self, path: str) -> Live | None:
        """What is live at a path below /forms/start/."""
        return self._live.get(path)

    @classmethod
    def conflict(cls, params: FormParams, other: FormParams) -> str | None:
        """Two pages must not have the same address."""
        return f"/forms/start/{params.path} would be the page of both." if params.path == other.path else None

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """A form must be possible for the schema."""
        schema = params.get("answer_schema")
        if schema is None:
            hint = "Or give the workflow an input_schema, which the form is made of then."
            return (Issue("param.missing", "error", "", "The param 'answer_schema' is missing.", hint),)
        if isinstance(schema, dict) and (problem := problem_with(schema)) is not None:
            return (Issue("param.invalid", "error", "/answer_schema", f"No form can be made of it: {problem}."),)
        return ()

    @classmethod
    def payload_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The answer has the schema of the form."""
        payload = dict(super().payload_schema() or {})
        schema = params.get("answer_schema")
        if isinstance(schema, dict) and problem_with(schema) is None:
            answer, definitions = hoisted(schema)
            payload = {**payload, "properties": {**payload["properties"], "answer": answer}, **definitions}
        return payload

    @classmethod
    def manual_payload(cls, params: FormParams, now: float) -> Any:
        """An empty form."""
        return {"answer": None, "submission_id": None, "received_at": ""}
