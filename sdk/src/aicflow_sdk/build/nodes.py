"""Nodes and their ports: what edges are drawn between and what references start at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aicflow_language.suggest import nearest

from aicflow_sdk.build.expr import Expr, Maybe, root, source_of
from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.build.bodies import Scope
    from aicflow_sdk.build.workflow import Workflow

type Target = Node | Iterable[Node]
_OWN: Final = ("error", "id", "maybe", "output", "params", "port", "type")


class Port:
    """A named exit of a node: `check.true >> node`."""

    __slots__ = ("name", "node")

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name

    def __rshift__(self, target: Any) -> Any:
        return _connect([self], target)

    def __rrshift__(self, source: Any) -> NoReturn:
        raise TypeError(f"an edge ends at a node, not at its port {self.name!r}; write a >> {self.node.id}")

    def __getattr__(self, name: str) -> NoReturn:
        close = nearest(self.name, _OWN)
        hint = f"; did you mean {self.node.id}.{close}.{name}?" if close else ""
        raise AttributeError(
            f"{self.node.id}.{self.name} is the port {self.name!r}, which has no {name!r}{hint} Data is in .output."
        )

    def __repr__(self) -> str:
        return f"<port {self.name!r} of {self.node.id}>"


class ErrorPort(Expr):
    """`node.error`: the port that is taken when the node fails, and the reference to the error."""

    __slots__ = ("__port",)

    def __init__(self, node: Node) -> None:
        super().__init__(source_of(root("nodes", node.id, "error")))
        object.__setattr__(self, "_ErrorPort__port", Port(node, "error"))

    def __rshift__(self, target: Any) -> Any:
        return _connect([object.__getattribute__(self, "_ErrorPort__port")], target)


class Node:
    """One box of a workflow. `output` and `error` refer to what it returns; `a >> b` draws an edge; its other
    attributes are ports, such as `check.true`; `port(name)` reaches ports of any name."""

    def __init__(self, workflow: Workflow, entry: dict[str, Any], scope: Scope) -> None:
        self._workflow = workflow
        self._entry = entry
        self._scope = scope

    @property
    def id(self) -> str:
        """Its id in the document."""
        return str(self._entry["id"])

    @property
    def type(self) -> str:
        """Its node type."""
        return str(self._entry["type"])

    @property
    def params(self) -> Mapping[str, Any]:
        """Its params as they stand in the document."""
        found: Mapping[str, Any] = self._entry.get("params", {})
        return found

    @property
    def output(self) -> Any:
        """What it returns, as an expression. Typed Any: where a function's parameter has it as its default, it
        has the type that the value has when the workflow runs."""
        return self._root("output")

    @property
    def error(self) -> ErrorPort:
        """The port that is taken when it fails, and the reference to its error."""
        self._root()
        return ErrorPort(self)

    @property
    def maybe(self) -> Maybe:
        """`node.maybe.output`: null when the node did not run."""
        return Maybe(self._root())

    def to_entry(self) -> dict[str, Any]:
        """The node as it stands in a document."""
        return self._entry

    def _root(self, *fields: str) -> Expr:
        """The reference to it. Raises BuildError outside of the body that it stands in."""
        owner = self._scope.owner
        if owner is not None and self._scope not in self._workflow._scope.around():
            whole = {"map": "output.items", "repeat": "output.carry"}.get(owner.type, "output")
            raise BuildError(
                f"{self.id} is inside of {owner.id} and cannot be referred to from outside.",
                hint=f"Use {owner.id}.{whole}; {owner.id}.returns(…) says what it holds.",
            )
        return root("nodes", self.id, *fields)

    def port(self, name: str) -> Port:
        """The exit of this name. Raises BuildError when the node type is known to have no such port."""
        known = known_ports(self._entry)
        if known is not None and name not in known and name != "error":
            raise BuildError(f"{self.id} ({self.type}) has no port {name!r}; it has {', '.join(known)} and error.")
        return Port(self, name)

    def __getattr__(self, name: str) -> Port:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.port(name)
        except BuildError as error:
            raise AttributeError(str(error)) from None

    def __rshift__(self, target: Any) -> Any:
        return _connect([Port(self, "main")], target)

    def __rrshift__(self, sources: Any) -> Node:
        return _join(sources, self)

    def __repr__(self) -> str:
        return f"<node {self.id} ({self.type})>"


def known_ports(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ports of a node of a first-party type; None for types that this package does not know."""
    params = entry.get("params", {})
    match entry.get("type"):
        case None:
            return ("main",)
        case "logic.if_else":
            return ("true", "false")
        case "logic.switch":
            cases = params.get("cases")
            names = [case.get("name") for case in cases] if isinstance(cases, list) else []
            return (*[name for name in names if isinstance(name, str)], "default")
        case "wait":
            return ("main", "timeout") if params.get("answer_schema") is not None else ("main",)
        case "python.code" | "http.request" | "ai.agent" | "workflow.call":
            return ("main",)
    return None


def _connect(sources: list[Port], target: Any) -> Any:
    """Draw edges from every port to every target; returns the target, so that `a >> b >> c` goes on from there."""
    targets = [target] if isinstance(target, Node) else target
    if not isinstance(targets, list | tuple) or not targets or not all(isinstance(one, Node) for one in targets):
        raise TypeError(f"an edge ends at a node or a list of nodes, not at {target!r}; write a >> b or a >> [b, c]")
    for source in sources:
        for one in targets:
            source.node._workflow._add_edge(source, one)
    return target


def _join(sources: Any, target: Node) -> Node:
    """Draw edges from every one of a list to the target."""
    if isinstance(sources, Expr):
        raise TypeError("an edge starts at a node or a port, not at what it returns; write node >> other")
    ports: list[Port] = []
    for source in sources if isinstance(sources, list | tuple) else [sources]:
        if isinstance(source, Node):
            ports.append(Port(source, "main"))
        elif isinstance(source, Port):
            ports.append(source)
        elif isinstance(source, ErrorPort):
            ports.append(object.__getattribute__(source, "_ErrorPort__port"))
        else:
            raise TypeError(f"an edge starts at a node or a port, not at {source!r}; write [a, b.true] >> c")
    if not ports:
        raise TypeError("an edge starts at a node or a port; the list is empty")
    _connect(ports, target)
    return target
