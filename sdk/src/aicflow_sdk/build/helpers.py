"""Constructors for the first-party node and trigger types, with their params spelled out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

from aicflow_sdk.build.bodies import Body, ruled
from aicflow_sdk.build.nodes import Node
from aicflow_sdk.build.values import mapping, plain, render, sequence

type Case = Mapping[str, Any]
type Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class Helpers(ABC):
    """What Workflow offers besides `node` and `add_trigger`. Every helper takes the node options of `node`."""

    @abstractmethod
    def node(self, type: str, id: str | None = None, **params: Any) -> Node:
        """Add a node."""

    @abstractmethod
    def add_trigger(self, type: str, id: str | None = None, **params: Any) -> str:
        """Add a trigger."""

    @overload
    def python(
        self, code: str, id: str | None = None, *, inputs: Mapping[str, Any] | None = None, **options: Any
    ) -> Node: ...
    @overload
    def python(self, code: Callable[..., Any], id: str | None = None, **options: Any) -> Node: ...
    @overload
    def python(
        self, code: None = None, id: str | None = None, *, inputs: Mapping[str, Any] | None = None, **options: Any
    ) -> Callable[[Callable[..., Any]], Node]: ...
    def python(
        self,
        code: str | Callable[..., Any] | None = None,
        id: str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """A python.code node from text, or as a decorator from a function, whose body it takes:

            @wf.python
            def total(lines=fetch.output.body["lines"]):
                return sum(line["price"] for line in lines)

        A parameter's default, or `inputs`, is what it receives. The body runs alone in the sandbox: imports stand
        inside it. Params besides: `scope`, `environment`, `cpu_seconds`, `memory_mb`, and `timeout` in `params={…}`.
        Raises BuildError for names from outside.
        """
        if isinstance(code, str):
            given = {"inputs": mapping(inputs, "inputs")} if inputs else {}
            return self.node("python.code", self._named(id, "python"), code=code, **given, **options)
        if code is None:
            return lambda function: self._function(function, id, inputs, options)
        return self._function(code, id, inputs, options)

    def _function(
        self,
        function: Callable[..., Any],
        id: str | None,
        inputs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Node:
        from aicflow_sdk.build.functions import code_of  # loads the readers of Python source

        made = code_of(function, mapping(inputs, "inputs"))
        given = {"inputs": made.inputs} if made.inputs else {}
        described = {"description": made.description} if made.description else {}
        return self.node("python.code", self._named(id, made.name), **{**described, **options}, code=made.code, **given)

    def http(self, url: Any, id: str | None = None, *, method: str | None = None, **options: Any) -> Node:
        """An http.request node. Params besides: `query`, `headers`, `body`, `auth`, `pagination`, `timeouts`, …"""
        more = {} if method is None else {"method": method}
        return self.node("http.request", self._named(id, "http"), url=url, **more, **options)

    def agent(
        self,
        prompt: Any = None,
        id: str | None = None,
        *,
        model: str | None = None,
        tools: Sequence[Mapping[str, Any] | str] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Node:
        """An ai.agent node. A tool is a node type's id, or {"node": id, "params": {…}, …}. `output_schema` is the
        shape of the answer, found as `output.structured`. Params besides: `system_prompt`, `messages`, `base_url`,
        `temperature`, `max_model_calls`, …"""
        given = mapping(params, "params")
        if prompt is not None:
            given["prompt"] = prompt
        if model is not None:
            given["model"] = model
        if tools is not None:
            given["tools"] = [
                {"node": tool} if isinstance(tool, str) else mapping(tool, "tools: a tool")
                for tool in sequence(tools, "tools")
            ]
        if output_schema is not None:
            given["output_schema"] = output_schema
        return self.node("ai.agent", self._named(id, "agent"), params=given, **options)

    def if_else(
        self,
        condition: Any = None,
        id: str | None = None,
        *,
        conditions: Sequence[Mapping[str, Any]] | None = None,
        match: Literal["all", "any"] | None = None,
        **options: Any,
    ) -> Node:
        """A logic.if_else node: `check.true >> a`, `check.false >> b`. Give `condition`, or `conditions`."""
        given = {"condition": condition, "conditions": conditions, "match": match}
        return self.node("logic.if_else", self._named(id, "if_else"), **_said(given), **options)

    def switch(self, id: str | None = None, *, cases: Sequence[Case], value: Any = None, **options: Any) -> Node:
        """A logic.switch node: a port for each case by its `name`, and `default`. A case has `equals` (compared with
        `value`), `condition` or `conditions`."""
        given = {} if value is None else {"value": value}
        return self.node("logic.switch", self._named(id, "switch"), **given, cases=sequence(cases, "cases"), **options)

    def wait(
        self,
        id: str | None = None,
        *,
        seconds: Any = None,
        until: Any = None,
        answer_schema: Mapping[str, Any] | bool | None = None,
        event: Mapping[str, Any] | None = None,
        message: Any = None,
        **options: Any,
    ) -> Node:
        """A wait node: for a time, for a person's answer (`answer_schema`) or for an event (`name` and `key`), which
        `output.answer` holds. With a time besides, port `timeout` is taken when it did not come in time."""
        given = {"seconds": seconds, "until": until, "answer_schema": answer_schema, "event": event, "message": message}
        return self.node("wait", self._named(id, "wait"), **_said(given), **options)

    def call(self, workflow: Any, id: str | None = None, *, input: Any = None, **options: Any) -> Node:
        """A workflow.call node: run another workflow by its id; `output.output` is what it gave."""
        given = {} if input is None else {"input": input}
        return self.node("workflow.call", self._named(id, "call"), workflow=workflow, **given, **options)

    def map(
        self,
        id: str | None = None,
        *,
        over: Any,
        as_: str = "item",
        key: Any = None,
        concurrency: int | None = None,
        batch: int | None = None,
        on_item_error: Literal["fail", "continue"] | Mapping[str, Any] | None = None,
        max_items: int | None = None,
        collect: Literal["items", "last", "none"] | None = None,
        isolate: bool | None = None,
        **options: Any,
    ) -> Body:
        """A map: the nodes that are added inside its block run once for each item of a list.

            with wf.map("each", over=fetch.output.body, as_="row", key=lambda row: row.id) as row:
                get = wf.http(f"https://api.example.com/{row.id}", "get")
                wf["each"].returns(get.output.body)

        `wf["each"].index` is the item's number, `wf["each"].output.items` afterwards what the items gave. `key` is an
        expression, or a function of the item. `on_item_error` may be {"tolerate": {"count": 5}}. `isolate`: each
        item in an execution of its own. Options besides:
        `name`, `description`, `output_schema`, `timeout`, `step_timeout`, `on_error`, `run`. Raises BuildError."""
        self._check_name(as_)
        body: dict[str, Any] = {"over": render(over, f"{id or 'map'}: over")}
        if as_ != "item":
            body["as"] = as_
        given: dict[str, Any] = {"concurrency": concurrency, "batch": batch, "max_items": max_items, "collect": collect}
        given |= {"on_item_error": on_item_error, "isolate": isolate}
        body |= {name: plain(value, f"{id or 'map'}: {name}") for name, value in _said(given).items()}
        if key is not None:
            body["key"] = render(ruled(key, as_), f"{id or 'map'}: key")
        return self._body("map", id, body, options)

    def repeat(
        self,
        id: str | None = None,
        *,
        while_: Any,
        max: int,
        carry: Any = None,
        delay: float | Mapping[str, float] | None = None,
        **options: Any,
    ) -> Body:
        """A repeat: the nodes that are added inside its block run again and again, at most `max` times, while a
        condition holds after a pass.

            with wf.repeat("poll", max=20, delay=5, while_=lambda carry: carry.status != "done") as carry:
                get = wf.http(job_url, "get")
                wf["poll"].returns(get.output.body)

        What a pass returns is the `carry` of the next one, and of the condition: an expression, or a function of the
        carry. Afterwards `wf["poll"].output` has `carry`, `passes` and `done`. `delay` is seconds, or {"initial": 1,
        "multiplier": 2, "max": 60}. Options besides are those of `map`. Raises BuildError."""
        where = id or "repeat"
        body: dict[str, Any] = {"while": render(ruled(while_, "carry"), f"{where}: while_"), "max": max}
        if carry is not None:
            body["carry"] = render(carry, f"{where}: carry")
        if delay is not None:
            body["delay"] = plain(delay, f"{where}: delay")
        return self._body("repeat", id, body, options)

    def group(self, id: str | None = None, *, concurrency: int | None = None, **options: Any) -> Body:
        """A group: the nodes that are added inside its block run as one, with one `retry`, `timeout` and `on_error`.

            with wf.group("order", retry={"max_attempts": 3}) as order:
                reserve = wf.http(stock_url, "reserve", method="POST")
                pay = wf.http(pay_url, "pay", method="POST")
                reserve >> pay
                order.returns(pay.output.body)

        Options besides: `retry` and those of `map`. Raises BuildError."""
        return self._body("group", id, _said({"concurrency": concurrency}), options)

    def respond(self, id: str | None = None, *, body: Any = None, status: int | None = None, **options: Any) -> Node:
        """A webhook.respond node: what the caller of a webhook is answered."""
        return self.node(
            "webhook.respond", self._named(id, "respond"), **_said({"status": status, "body": body}), **options
        )

    def webhook(
        self,
        path: str,
        id: str | None = None,
        *,
        methods: Sequence[Method] | None = None,
        input: Any = None,
        **params: Any,
    ) -> str:
        """A trigger.webhook at `/hooks/{path}`. `wf.trigger.body` and its kin are what arrived, for `input`. Params
        besides: `auth`, `respond`, `accept`, … Returns the trigger's id."""
        more = {} if methods is None else {"methods": list(methods)}
        return self.add_trigger("trigger.webhook", id, input=input, path=path, **more, **params)

    def cron(
        self, schedule: str, id: str | None = None, *, timezone: str | None = None, input: Any = None, **params: Any
    ) -> str:
        """A trigger.cron: five or six fields or an alias, in an IANA time zone (UTC unless given). Params besides:
        `overlap`, `catchup`, `jitter`. Returns the trigger's id."""
        more = {} if timezone is None else {"timezone": timezone}
        return self.add_trigger("trigger.cron", id, input=input, schedule=schedule, **more, **params)

    @abstractmethod
    def _check_name(self, name: str) -> None:
        """Raise BuildError when an item cannot be called so here."""

    @abstractmethod
    def _body(self, kind: str, id: str | None, body: dict[str, Any], options: Mapping[str, Any]) -> Body:
        """Add a node with a body, and say what is in its entry besides the nodes."""

    @abstractmethod
    def _named(self, given: str | None, base: str) -> str:
        """The id given for a new node, else one made of `base`."""


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
