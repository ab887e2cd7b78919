"""A registry with a few node and trigger types of its own, and short ways to validate a document or one expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
from aicflow.function import node
from aicflow.kernel.node import Node, Output, Params, SecretText
from aicflow.kernel.registry import Registry
from aicflow.kernel.trigger import Trigger
from aicflow.language.validation import Limits, validate
from pydantic import Field


class Person(Output):
    name: str
    age: int
    email: str | None = None


class Report(Output):
    ok: bool
    status: Literal["new", "done"]
    people: list[Person]
    extra: dict[str, str]


class Nothing(Params):
    value: Any = None


class Fetch(Node[Nothing, Report]):
    """Give a report."""

    type_id = "t.fetch"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Any, params: Nothing) -> Report: ...


class Gate(Params):
    condition: bool


class If(Node[Gate, Report]):
    """Two ways."""

    type_id = "t.if"
    ports = ("true", "false")

    async def run(self, ctx: Any, params: Gate) -> Report: ...


class Loose(Node[Nothing, Any]):
    """Anything in, anything out."""

    type_id = "t.any"
    errors: ClassVar[Mapping[str, str]] = {"any-broken": "It broke"}

    async def run(self, ctx: Any, params: Nothing) -> Any: ...


class Typed(Params):
    """One param of each sort."""

    text: str = ""
    number: float = 0
    count: int = Field(default=1, ge=1)
    flag: bool = False
    texts: list[str] = Field(default_factory=list)
    choice: Literal["new", "done", "lost"] = "new"
    person: Person | None = None
    secret: SecretText = ""
    value: Any = None


class Take(Node[Typed, Any]):
    """Typed params."""

    type_id = "t.take"

    async def run(self, ctx: Any, params: Typed) -> Any: ...


class Echoes(Params):
    shape: dict[str, Any] = Field(default_factory=dict)


class Echo(Node[Echoes, Any]):
    """Its output has the schema that its params hold."""

    type_id = "t.echo"

    async def run(self, ctx: Any, params: Echoes) -> Any: ...

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return params["shape"]


@node("t.add", pure=True)
def add(n: int) -> int:
    """One more."""
    return n + 1


class Call(Output):
    body: Any
    method: str


class Bell(Trigger[Nothing, Call]):
    """A call."""

    type_id = "t.bell"

    async def activate(self, binding: Any, params: Nothing) -> None: ...

    async def deactivate(self, binding: Any) -> None: ...


TYPES = (Fetch, If, Loose, Take, Echo, add, Bell)


@pytest.fixture(scope="session")
def registry() -> Registry:
    made = Registry()
    for cls in TYPES:
        made.register(cls)
    return made


@pytest.fixture(scope="session")
def issues_of(registry):
    """Everything found in a document, of which only the parts that matter are written."""

    def check(document, *, secret_names=None, limits=None, **parts):
        whole = {"aicflow": 1, "name": "test", "nodes": [], **document, **parts}
        return validate(whole, registry, secret_names=secret_names, limits=limits or Limits())

    return check


@pytest.fixture(scope="session")
def codes_of(issues_of):
    """The codes and pointers found."""

    def check(document, **parts):
        return [(issue.code, issue.pointer) for issue in issues_of(document, **parts)]

    return check
