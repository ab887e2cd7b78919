"""A workflow, built in Python: what it holds and how it becomes a document."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict

from aicflow_language.expr import ROOTS
from aicflow_language.suggest import nearest

from aicflow_sdk.build.bodies import Body, Scope, kind_of, roots_of
from aicflow_sdk.build.expr import root
from aicflow_sdk.build.helpers import Helpers
from aicflow_sdk.build.nodes import Node, Port, known_ports
from aicflow_sdk.build.text import Code
from aicflow_sdk.build.values import mapping, plain, render
from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.models import Validation

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_BODY_OPTIONS: Final = ("name", "description", "output_schema", "timeout", "step_timeout", "on_error", "run")
_CODE_PARAMS: Final = frozenset({("python.code", "code")})


class Retry(TypedDict, total=False):
    """How often and when a failed attempt is tried again; delays in seconds. `on` names error types and codes."""

    max_attempts: int
    initial_delay: float
    multiplier: float
    max_delay: float
    jitter: bool
    on: list[str]


class Concurrency(TypedDict, total=False):
    """At most `limit` executions with the same `key` at once; `when_full` says what becomes of one more."""

    key: Any
    limit: int
    when_full: Literal["queue", "skip", "cancel_oldest"]


class Settings(TypedDict, total=False):
    """How executions of a workflow run. `timeout` is seconds from start to end; `on_failure` the id of a workflow."""

    timeout: float
    max_concurrency: int
    fail_fast: bool
    engine: str
    concurrency: Concurrency
    queue: str
    history: Literal["full", "compact"]
    on_failure: str
    subject: Any


class Workflow(Helpers):
    """A workflow under construction.

    `wf.node(type, id=…, **params)` and the helpers (`wf.http`, `wf.python`, `wf.if_else`, …) add nodes; `a >> b` draws
    edges; `wf.input`, `wf.vars`, `wf.secrets` and `node.output` are references. `to_dict()` returns the document.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        input_schema: Mapping[str, Any] | bool | None = None,
        vars: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
        output: Any = None,
    ) -> None:
        self.name = name
        self.description = description
        self.labels: dict[str, str] = dict(labels or {})
        self.input_schema = plain(input_schema, "input_schema")
        self._settings: dict[str, Any] = render(mapping(settings, "settings"), "settings")
        self._vars: dict[str, Any] = plain(mapping(vars, "vars"), "vars")
        self._root = self._scope = Scope()
        self._triggers: dict[str, dict[str, Any]] = {}
        self._output: Any = None
        if output is not None:
            self.output = output

    @property
    def input(self) -> Any:
        """What the execution is started with."""
        return root("input")

    @property
    def vars(self) -> Any:
        """The workflow's own constants, as given to `Workflow(vars=…)`."""
        return root("vars")

    @property
    def secrets(self) -> Any:
        """Secrets by name; only in params that take them."""
        return root("secrets")

    @property
    def execution(self) -> Any:
        """`id`, `started_at` and `attempt` of the execution."""
        return root("execution")

    @property
    def trigger(self) -> Any:
        """What the trigger received; only in a trigger's `input`."""
        return root("trigger")

    @property
    def output(self) -> Any:
        """What executions return, as it stands in the document. Assign values with expressions in them."""
        return self._output

    @output.setter
    def output(self, value: Any) -> None:
        self._output = render(value, "output")

    @property
    def settings(self) -> Mapping[str, Any]:
        """How executions run, as it stands in the document. Assign a dict of `Settings`."""
        return self._settings

    @settings.setter
    def settings(self, value: Settings) -> None:
        self._settings = render(mapping(value, "settings"), "settings")

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by id; those inside of a map, a repeat or a group are found by `wf[id]`."""
        return dict(self._root.nodes)

    def __getitem__(self, node_id: str) -> Node:
        """The node of this id. Raises KeyError."""
        scopes = list(self._root.inside())
        found = next((scope.nodes[node_id] for scope in scopes if node_id in scope.nodes), None)
        if found is None:
            close = nearest(node_id, [known for scope in scopes for known in scope.nodes])
            raise KeyError(f"no node {node_id!r}{f'; did you mean {close!r}?' if close else ''}")
        return found

    def node(
        self,
        type: str,
        id: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        version: int | None = None,
        output_schema: Mapping[str, Any] | bool | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        step_timeout: float | None = None,
        on_error: Literal["fail", "continue"] | None = None,
        on_recovery: Literal["retry", "fail", "wait"] | None = None,
        run: Literal["reached", "always"] | None = None,
        params: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Node:
        """Add a node of any type; what is not named here is a param. `timeout` is seconds for one attempt,
        `step_timeout` for all. Params with the name of one of these options go into `params={…}`. Without an id it is
        named after its type. Raises BuildError."""
        node_id = self._new_id(id, type, self._scope)
        named = mapping(params, f"{node_id}: params")
        given = {**named, **more}
        both = set(named) & set(more)
        if both:
            raise BuildError(f"{node_id}: the param {sorted(both)[0]!r} is given twice.")
        entry: dict[str, Any] = {"id": node_id, "type": type}
        options = {
            "version": version,
            "name": name,
            "description": description,
            "output_schema": output_schema,
            "retry": mapping(retry, f"{node_id}: retry") or None,
            "timeout": timeout,
            "step_timeout": step_timeout,
            "on_error": on_error,
            "on_recovery": on_recovery,
            "run": run,
        }
        entry |= {key: plain(value, f"{node_id}: {key}") for key, value in options.items() if value is not None}
        if given:
            entry["params"] = {key: self._param(entry, key, value) for key, value in given.items()}
        return self._put(entry)

    def add_trigger(
        self,
        type: str,
        id: str | None = None,
        *,
        input: Any = None,
        enabled: bool = True,
        version: int | None = None,
        params: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """Add a trigger of any type; what is not named here is a param. `input` maps what it received, `wf.trigger`,
        to the execution's input, which is the payload itself when left out. Returns its id. Raises BuildError."""
        if self._scope.owner is not None:
            raise BuildError(
                f"A trigger cannot stand inside of {self._scope.owner.id}.", hint="Add it before the block."
            )
        trigger_id = self._new_id(id, type, self._triggers)
        entry: dict[str, Any] = {"id": trigger_id, "type": type}
        if version is not None:
            entry["version"] = version
        given = {**mapping(params, f"trigger {trigger_id}: params"), **more}
        if given:
            entry["params"] = render(given, f"trigger {trigger_id}")
        if input is not None:
            entry["input"] = render(input, f"trigger {trigger_id}: input")
        if not enabled:
            entry["enabled"] = False
        self._triggers[trigger_id] = entry
        return trigger_id

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        document: dict[str, Any] = {"aicflow": 1, "name": self.name}
        if self.description is not None:
            document["description"] = self.description
        if self.labels:
            document["labels"] = dict(self.labels)
        if self.input_schema is not None:
            document["input_schema"] = self.input_schema
        if self._vars:
            document["vars"] = self._vars
        if self._triggers:
            document["triggers"] = list(self._triggers.values())
        document["nodes"] = [node.to_entry() for node in self._root.nodes.values()]
        if self._root.edges:
            document["edges"] = self._root.edges
        if self._output is not None:
            document["output"] = self._output
        if self._settings:
            document["settings"] = self._settings
        return copy.deepcopy(document)

    def to_json(self, *, indent: int | None = 2) -> str:
        """The document as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_yaml(self) -> str:
        """The document as YAML text."""
        from aicflow_sdk.build.yaml_text import to_yaml

        return to_yaml(self.to_dict())

    def to_python(self) -> str:
        """A Python program that builds this workflow, as `wf`."""
        from aicflow_sdk.build.to_python import to_python

        return to_python(self.to_dict())

    def diagram(self) -> str:
        """A picture of it as a Mermaid flowchart, which many programs that show Markdown draw."""
        from aicflow_sdk.build.diagram import to_mermaid

        return to_mermaid(self.to_dict())

    def validate(self) -> Validation:
        """All findings, against the node types installed in this environment, by the `aicflow` command. With a server:
        `client.workflows.validate(wf)`. Raises ConfigurationError when aicflow is not installed here."""
        from aicflow_sdk.offline import validate

        return validate(self)

    def save(self, path: Path | str) -> None:
        """Write the document to a file, as YAML or JSON by its suffix."""
        file = Path(path)
        yaml = file.suffix.lower() in (".yaml", ".yml")
        file.write_text(self.to_yaml() if yaml else self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The workflow that a document describes, to be changed or written as Python. Raises BuildError for what is
        not the shape of a document; whether it is valid, validation says."""
        from aicflow_sdk.build.from_document import fill

        if not isinstance(document, Mapping):
            raise BuildError(f"A workflow document is an object, not {type(document).__name__}.")
        workflow = cls(str(document.get("name", "")))
        fill(workflow, document)
        return workflow

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The workflow that JSON text describes. Raises BuildError."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise BuildError(f"The text is not JSON: {error}.") from None
        if not isinstance(document, dict):
            raise BuildError("The text is JSON, but not an object.")
        return cls.from_dict(document)

    def __repr__(self) -> str:
        return f"<workflow {self.name!r}: {len(self._root.nodes)} nodes>"

    def _param(self, entry: Mapping[str, Any], key: str, value: Any) -> Any:
        if (entry["type"], key) in _CODE_PARAMS and isinstance(value, str):
            value = Code(value)
        return render(value, f"{entry['id']}: {key}")

    def _put(self, entry: dict[str, Any]) -> Node:
        scope, kind = self._scope, kind_of(entry)
        node = Node(self, entry, scope) if kind is None else Body(self, entry, kind, scope)
        scope.nodes[node.id] = node
        if isinstance(node, Body):
            scope.bodies.append(node)
        return node

    def _body(self, kind: str, id: str | None, body: dict[str, Any], options: Mapping[str, Any]) -> Body:
        node_id = self._new_id(id, kind, self._scope)
        known = _BODY_OPTIONS if kind != "group" else (*_BODY_OPTIONS, "retry")
        if unknown := sorted(set(options) - set(known)):
            raise BuildError(f"{node_id}: a {kind} has no {unknown[0]!r}.", hint=f"Options: {', '.join(known)}.")
        given = {key: plain(value, f"{node_id}: {key}") for key, value in options.items() if value is not None}
        node = self._put({"id": node_id, kind: body, **given})
        assert isinstance(node, Body)
        return node

    def _new_id(self, given: str | None, type_id: str, taken: Container[str]) -> str:
        if not isinstance(type_id, str):
            raise TypeError(f"a type is text such as 'http.request', not {type_id!r}")
        if given is None:
            return _free(re.sub(r"[^A-Za-z0-9_]", "_", type_id.rpartition(".")[2]) or "node", taken)
        if not isinstance(given, str) or not _IDENTIFIER.match(given):
            raise BuildError(
                f"{given!r} cannot be an id.",
                hint="Use letters, digits and _, not a digit first, at most 64 characters.",
            )
        if given in taken:
            raise BuildError(f"The id {given!r} is taken.", hint="Give each node, and each trigger, an id of its own.")
        return given

    def _check_name(self, name: str) -> None:
        hint = "Use another name: as_='row'."
        if not isinstance(name, str) or not _IDENTIFIER.match(name):
            raise BuildError(f"An item cannot be called {name!r}.", hint=hint)
        if name in ROOTS or name in ("carry", "index"):
            raise BuildError(
                f"An item cannot be called {name!r}, which means something else in expressions.", hint=hint
            )
        for scope in self._scope.around():
            if scope.owner is not None and name in roots_of(scope.owner):
                raise BuildError(f"The item of {scope.owner.id} is called {name!r} already.", hint=hint)

    def _named(self, given: str | None, base: str) -> str:
        return _free(base, self._scope) if given is None else given

    def _add_edge(self, source: Port, target: Node) -> None:
        if source.node._workflow is not self or target._workflow is not self:
            raise BuildError(f"{source.node.id} and {target.id} belong to different workflows.")
        if source.node._scope is not target._scope:
            inner = source.node if source.node._scope.owner is not None else target
            owner = inner._scope.owner.id if inner._scope.owner is not None else ""
            raise BuildError(
                f"An edge cannot lead from {source.node.id} to {target.id}: {inner.id} is inside of {owner}.",
                hint=f"Draw it to or from {owner} itself; its body begins at the nodes that no edge leads to.",
            )
        known = known_ports(source.node._entry)
        if known is not None and source.name not in (*known, "error"):
            example = f"{source.node.id}.{known[0]} >> {target.id}"
            raise BuildError(
                f"{source.node.id} ({source.node.type}) does not leave by {source.name!r}.",
                hint=f"It leaves by {', '.join(known)}: write {example}.",
            )
        edge = {"from": source.node.id, "to": target.id}
        if source.name != "main":
            edge = {"from": source.node.id, "port": source.name, "to": target.id}
        edges = target._scope.edges
        if edge not in edges:
            edges.append(edge)


def _free(base: str, taken: Container[str]) -> str:
    """The name, with a number behind it when it is taken."""
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
