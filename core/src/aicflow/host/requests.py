"""What the API takes in bodies, as models that check it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from aicflow.engine.events import EventKey, EventName
from aicflow.host.addresses import networks
from aicflow.host.keys import SCOPES
from aicflow.kernel.document import LabelName, LabelValue
from aicflow.kernel.execution import ExecutionStatus

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Request(BaseModel):
    # strict: "3" is not 3; unknown keys are errors, never ignored
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _scopes(value: list[str]) -> list[str]:
    for scope in value:
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is not a scope; available scopes: {', '.join(SCOPES)}")
    return value


def _addresses(value: list[str]) -> list[str]:
    return [str(one) for one in networks(tuple(value))]


def _no_control(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it contains characters that cannot be shown")
    return value


def _one_sentence(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    # a union complains once for each of its members, at places that are not in the body
    try:
        return check(value)
    except ValidationError:
        raise ValueError("it must be 'pinned', 'latest' or the number of a version, from 1") from None


def _rfc3339(value: Any) -> datetime:
    # pydantic would also take numbers and texts of digits, as seconds or milliseconds
    if not isinstance(value, str) or _INSTANT.match(value) is None:
        raise ValueError("it must be an instant with a time zone, such as 2026-01-31T08:00:00Z")
    return datetime.fromisoformat(value.upper())


def _whole(value: Any) -> Any:
    # to JSON Schema 3.0 is an integer, as it is to JavaScript
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[int, Field(ge=1, le=2**53), BeforeValidator(_whole)]
"""The number of a version."""


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_no_control)
]


def _example(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {"examples": [value]}


class StartExecution(_Request, json_schema_extra=_example({"workflow_id": "order-triage", "input": {"order_id": 17}})):
    """Start an execution. `version` is the newest one unless named; higher `priority` is claimed first."""

    workflow_id: str = Field(min_length=1, max_length=200)
    input: JsonValue = None
    version: Number | None = None
    priority: Whole = Field(default=0, ge=-1000, le=1000)
    engine: str | None = Field(default=None, max_length=64)


class PutState(_Request, json_schema_extra=_example({"value": {"last": "2026-01-31T08:00:00Z"}, "lifetime": 86400})):
    """A value to keep."""

    value: JsonValue = Field(description="Any JSON, up to 256 kB")
    lifetime: float | None = Field(default=None, gt=0, le=315_360_000, description="Seconds until it is forgotten")


class PutLayout(_Request, json_schema_extra=_example({"layout": {"nodes": {"big": {"x": 120, "y": 40}}}})):
    """Where a client drew the nodes."""

    layout: JsonValue = Field(description="Any JSON, up to 256 kB; null forgets it")


class PutSecret(_Request, json_schema_extra=_example({"value": "s3cr3t-t0ken", "description": "Token of the shop"})):
    """A secret. What is left out stays as it is; a new secret needs a value. With `workflows` or `labels` only the
    workflows with one of these ids, or with all of these labels, may use it."""

    value: str | None = Field(
        default=None, max_length=65_536, description="The value; it is sealed, and no answer ever has it"
    )
    description: str | None = Field(default=None, max_length=500)
    workflows: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(default=None, max_length=1000)
    labels: dict[LabelName, LabelValue] | None = Field(default=None, max_length=32)


class PreviewExpression(
    _Request, json_schema_extra=_example({"expression": "${{ input.total * 2 }}", "scope": {"input": {"total": 21}}})
):
    """An expression, or a text with `${{ … }}` in it, and what to evaluate it against. With `execution_id`, the data of
    that execution and its version's `vars`, else the newest version's `vars` alone. `node_id`: as that node would see
    it. What `scope` names (`input`, `nodes`, …) is taken from there."""

    expression: str = Field(min_length=1, max_length=16_384)
    execution_id: str | None = Field(default=None, max_length=200)
    node_id: str | None = Field(default=None, max_length=64)
    scope: dict[Literal["input", "trigger", "nodes", "vars", "execution"], JsonValue] | None = None


class PatchWorkflow(_Request, json_schema_extra=_example({"enabled": False})):
    """Switch a workflow on or off."""

    enabled: bool


class ResumeExecution(_Request, json_schema_extra=_example({"node_id": "approve", "value": {"approved": True}})):
    """Answer a waiting step. `node_id` may be left out when one step waits."""

    node_id: str | None = Field(default=None, max_length=64)
    action: Literal["answered", "retry", "skip", "fail"] = "answered"
    value: JsonValue = None


class RerunExecution(_Request, json_schema_extra=_example({"version": "latest", "from_node": "classify"})):
    """Make a new execution from an old one. `from_node` reuses the outputs of everything not downstream of it."""

    input: JsonValue = None
    version: Annotated[Literal["pinned", "latest"] | Number, WrapValidator(_one_sentence)] = "pinned"
    from_node: str | None = Field(default=None, max_length=64)
    reuse: Literal["succeeded"] | None = Field(
        default=None, description="Where `from_node` is a map: its items that succeeded do not run again"
    )


class BulkRequest(
    _Request, json_schema_extra=_example({"workflow_id": "order-triage", "status": ["failed"], "limit": 100})
):
    """Which executions; every given condition must hold, and at least one must be given."""

    workflow_id: str | None = Field(default=None, max_length=200)
    status: list[ExecutionStatus] | None = Field(default=None, min_length=1)
    created_after: Instant | None = None
    created_before: Instant | None = None
    limit: Whole = Field(default=100, ge=1, le=1000)


class PatchNodeType(_Request, json_schema_extra=_example({"default_params": {"timeout": 10}})):
    """Configure a node type; effective at once and kept. What is left out stays as it is."""

    enabled: bool | None = None
    default_params: dict[str, JsonValue] | None = None


class FireTrigger(_Request, json_schema_extra=_example({"payload": {"id": 17}})):
    """Fire a trigger now, with this payload."""

    payload: JsonValue = None


class SendEvent(_Request, json_schema_extra=_example({"name": "order.paid", "key": "17", "data": {"total": 42}})):
    """An event. One with an `id` that was sent before changes nothing. Steps that begin to wait within `ttl` seconds
    find it (AICFLOW_EVENT_TTL unless said)."""

    name: EventName
    key: EventKey = None
    data: JsonValue = None
    id: str | None = Field(default=None, pattern=r"^[!-~]{1,200}$")
    ttl: float | None = Field(default=None, ge=0, le=31_536_000)


class FindSubject(_Request, json_schema_extra=_example({"value": "ann@example.com"})):
    """A person: `value` as inputs name them, or `labels` of workflows that are about nobody else, or both."""

    value: Annotated[str, Field(max_length=1000)] | Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    labels: dict[LabelName, LabelValue] | None = Field(default=None, min_length=1, max_length=32)

    @model_validator(mode="after")
    def _someone(self) -> Self:
        if self.value is None and self.labels is None:
            raise ValueError("give value or labels")
        if isinstance(self.value, str) and not self.value.strip():
            raise ValueError("value must not be blank")
        return self


class EraseSubject(FindSubject, json_schema_extra=_example({"value": "ann@example.com"})):
    """`cancel` cancels executions that have not ended; with `dry_run` nothing is done but told."""

    cancel: bool = False
    dry_run: bool = False


class CreateApiKey(_Request, json_schema_extra=_example({"name": "ci", "scopes": ["read", "execute"]})):
    """A new API key. `admin` includes every other scope. With `workflows` or `labels` it reaches these workflows and
    those that have all of the labels, and cannot have the scope `admin`; `addresses` are those it may be used from.
    `max_queued` is how many executions that it started may be queued at once, in place of the server's setting."""

    name: Name
    scopes: Annotated[list[str], AfterValidator(_scopes)] = Field(
        min_length=1, max_length=8, json_schema_extra={"items": {"type": "string", "enum": list(SCOPES)}}
    )
    expires_at: Instant | None = None
    workflows: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=200, description="Ids of workflows"
    )
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=20)
    addresses: Annotated[list[str], AfterValidator(_addresses)] = Field(
        default_factory=list, max_length=100, description="Addresses and networks, such as `10.0.0.0/8`"
    )
    max_queued: int | None = Field(default=None, ge=1, le=2**53, description="Executions that may be queued at once")

    @model_validator(mode="after")
    def _no_limited_admin(self) -> Self:
        if "admin" in self.scopes and (self.workflows or self.labels):
            raise ValueError("a key that is limited to workflows cannot have the scope 'admin', which has no limits")
        return self


class RotateApiKey(_Request, json_schema_extra=_example({"overlap": 3600})):
    """Another key in the place of one, which counts for `overlap` seconds more."""

    overlap: float = Field(
        default=86_400, ge=0, le=2_592_000, description="Seconds for which the key until now still counts"
    )


def instant(value: datetime | None) -> float | None:
    """A request's instant as seconds since 1970 UTC."""
    # not astimezone: the first and last hours that exist have no UTC of their own
    return (value - _EPOCH).total_seconds() if value is not None else None
