"""The workflow document: one JSON document, unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from aicflow.kernel.execution import WhenFull

FORMAT_VERSION = 1

Identifier = Annotated[str, Field(min_length=1, max_length=64)]
Schema = dict[str, JsonValue] | bool
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$")]
QueueName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
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
    """One box: an instance of a node type, or a body of nodes of its own (`map`, `repeat` or `group`). `timeout` is
    seconds for one attempt, `step_timeout` for all of them."""

    id: Identifier
    type: str | None = None
    version: int | None = Field(default=None, ge=1)
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    map: Map | None = None
    repeat: Repeat | None = None
    group: Group | None = None
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

    @model_validator(mode="after")
    def _one_kind(self) -> NodeEntry:
        if [self.type, self.map, self.repeat, self.group].count(None) != 3:
            raise ValueError("a node has one of type, map, repeat and group")
        return self

    @property
    def body(self) -> BodyEntry | None:
        """The nodes inside it, None for a node with a type."""
        return self.map or self.repeat or self.group

    @property
    def type_id(self) -> str:
        """Its node type; bodies have one of the engine's own: `map`, `repeat`, `group`."""
        return self.type or ("map" if self.map else "repeat" if self.repeat else "group")

    @property
    def type_params(self) -> dict[str, JsonValue]:
        """What its node type is configured with, as written."""
        if self.map is not None:
            return {"over": self.map.over}
        return {"carry": self.repeat.carry} if self.repeat is not None else self.params


class TriggerEntry(_Part):
    """What starts executions. `input` maps the payload (`trigger`) to the input; by default it is the payload."""

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


class BodyEntry(_Part):
    """Nodes and edges inside a node, and what one run of them gives. They may refer to what the node itself may refer
    to; nothing outside refers to them."""

    nodes: list[NodeEntry] = Field(min_length=1)
    edges: list[Edge] = Field(default_factory=list)
    output: JsonValue = None


class Tolerance(_Part):
    """How many items may fail before the whole fails: more than `count`, or than `percent` of all."""

    count: int | None = Field(default=None, ge=0)
    percent: float | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _some(self) -> Tolerance:
        if self.count is None and self.percent is None:
            raise ValueError("give count or percent")
        return self


class Tolerate(_Part):
    tolerate: Tolerance


class Map(BodyEntry):
    """The body once for each item of a list. Inside, the item is called by `as`, and `index` counts from 0."""

    over: JsonValue
    as_: Identifier = Field(default="item", alias="as")
    concurrency: int = Field(default=10, ge=1, le=1_000, description="Items at work at once")
    batch: int = Field(default=1, ge=1, le=10_000, description="Above 1, `as` is a list of up to so many items")
    on_item_error: Literal["fail", "continue"] | Tolerate = "fail"
    key: JsonValue = Field(default=None, description="What tells items apart over reruns: text or a number, unique")
    max_items: int = Field(default=100_000, ge=1, le=1_000_000)
    collect: Literal["items", "last", "none"] = "items"
    isolate: bool = Field(default=False, description="Each item in an execution of its own, on any worker")


class Delay(_Part):
    """Seconds between two passes; grows by `multiplier` up to `max`."""

    initial: float = Field(default=1.0, ge=0, le=86_400)
    multiplier: float = Field(default=1.0, ge=1, le=100)
    max: float = Field(default=60.0, ge=0, le=86_400)


class Repeat(BodyEntry):
    """The body again and again while a condition holds, at most `max` times. Inside, `carry` is what the pass before
    gave (at first, what is written here), and `index` counts passes from 0."""

    while_: JsonValue = Field(alias="while")
    max: int = Field(ge=1, le=100_000)
    carry: JsonValue = None
    delay: Delay | Annotated[float, Field(ge=0, le=86_400)] = 0.0


class Group(BodyEntry):
    """The body as one: with one timeout, retry and way to handle errors. At most `concurrency` nodes run at once."""

    concurrency: int | None = Field(default=None, ge=1, le=1_000)


NodeEntry.model_rebuild()  # it names classes that come after it


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
    queue: QueueName | None = Field(default=None, description="Where its executions wait for a worker of this queue")
    history: Literal["full", "compact"] | None = Field(
        default=None,
        description="`compact`: pure nodes inside of maps leave no events; by default in maps of more than 1,000 items",
    )
    on_failure: str | None = Field(
        default=None, description="Id of the workflow to start with the failure report as its input"
    )
    subject: JsonValue = Field(
        default=None, description="Whom an execution is about, such as `${{ input.email }}`, or a list of such"
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
