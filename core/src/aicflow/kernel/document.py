"""The workflow document: one JSON document, unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from aicflow.kernel.execution import WhenFull

__all__ = [
    "FORMAT_VERSION",
    "Concurrency",
    "Edge",
    "NodeEntry",
    "Retry",
    "Settings",
    "TriggerEntry",
    "WorkflowDocument",
]

FORMAT_VERSION = 1

Identifier = Annotated[str, Field(min_length=1, max_length=64)]
Schema = dict[str, JsonValue] | bool
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[^,=\n\r]{1,128}$")]


class _Part(BaseModel):
    # strict: a document says what it means, "3" is not 3 and 1 is not true
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, hide_input_in_errors=True
    )


class Retry(_Part):
    """How often and when a failed attempt is tried again. Delays are in seconds."""

    max_attempts: int = Field(default=3, ge=1, le=1000)
    initial_delay: float = Field(default=1.0, ge=0, le=86_400)
    multiplier: float = Field(default=2.0, ge=1, le=100)
    max_delay: float = Field(default=60.0, ge=0, le=86_400)
    jitter: bool = True
    on: list[str] | None = Field(
        default=None,
        description="Codes and exception types retried besides transient errors and timeouts, permanent ones too; "
        "`*`: all but permanent",
    )


class NodeEntry(_Part):
    """One box: an instance of a node type. `timeout` is seconds for one attempt, `step_timeout` for all of them."""

    id: Identifier
    type: str
    version: int | None = Field(default=None, ge=1)
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    params: dict[str, JsonValue] = Field(default_factory=dict)
    output_schema: Schema | None = None
    retry: Retry | None = None
    timeout: float | None = Field(default=None, gt=0, le=31_536_000)
    step_timeout: float | None = Field(default=None, gt=0, le=31_536_000)
    on_error: Literal["fail", "continue"] = "fail"
    on_recovery: Literal["retry", "fail", "wait"] | None = None
    run: Literal["reached", "always"] = Field(
        default="reached",
        description="`always`: run once the nodes before it are settled in any way, also when the execution has "
        "failed, was cancelled or timed out; the result of the execution stays",
    )


class TriggerEntry(_Part):
    """What starts executions. `input` maps the payload (`trigger`) to the execution's input; by default the input is
    the payload itself."""

    id: Identifier
    type: str
    version: int | None = Field(default=None, ge=1)
    params: dict[str, JsonValue] = Field(default_factory=dict)
    input: JsonValue = None
    enabled: bool = True


class Edge(_Part):
    """An arrow from a node, by one of its ports, to a node."""

    source: Identifier = Field(alias="from")
    port: str = "main"
    target: Identifier = Field(alias="to")


class Concurrency(_Part):
    """At most `limit` executions with the same key at once; `when_full` says what becomes of one more."""

    key: str = ""
    limit: int = Field(default=1, ge=1)
    when_full: WhenFull = "queue"


class Settings(_Part):
    """How executions of this workflow are run. `timeout` is seconds from its start to its end."""

    timeout: float | None = Field(default=None, gt=0, le=31_536_000)
    max_concurrency: int | None = Field(default=None, ge=1)
    fail_fast: bool = False
    engine: str | None = None
    concurrency: Concurrency | None = None
    on_failure: str | None = Field(
        default=None, description="Id of the workflow to start with the failure report as its input"
    )


class WorkflowDocument(_Part):
    """A workflow: what starts it, its nodes, the edges between them, and what it gives."""

    aicflow: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    labels: dict[LabelName, LabelValue] = Field(
        default_factory=dict, max_length=32, description="For finding the workflow and its executions: `team: billing`"
    )
    input_schema: Schema | None = None
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    triggers: list[TriggerEntry] = Field(default_factory=list)
    nodes: list[NodeEntry]
    edges: list[Edge] = Field(default_factory=list)
    output: JsonValue = None
    settings: Settings = Field(default_factory=Settings)

    def to_json(self) -> dict[str, Any]:
        """The document as JSON, with what was not said left out; reading it again gives an equal document."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
