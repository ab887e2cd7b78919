"""Nobody finds a secret: workflows try to leak awkward ones by every way out, the server is killed and started again,
and then everything that it keeps, logs, streams and answers is searched for every form of them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from aicflow.testing.chat_replies import Answer, Call
from aicflow.testing.chat_server import ChatServer
from aicflow.testing.postgres import MISSING, binaries, running_postgres
from websockets.sync.client import connect

from tests.support.leaks import Leaks
from tests.support.outside import Asked, Outside
from tests.support.server import Server, start_server

CHANCE = random.Random(13)
SECRETS = {
    "SHORT": "k9!x",
    "WORD": "Zq7Rt2",
    "NUMBER": "8473625190",
    "QUOTES": "pa\"ss'w\\ord </b>&",
    "LINES": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "UNICODE": "pässwört-🔑-日本-ключ",
    "LONG": "".join(CHANCE.choices(string.ascii_letters + string.digits + "+/=", k=3_000)),
    "INNER": "inner-token-55",
    "OUTER": "outer.inner-token-55.outer",
    "STORED": "kept-in-the-store-4711",
}  # fmt: skip
ALL = {name: f"${{{{ secrets.{name} }}}}" for name in SECRETS}
ASCII = ("SHORT", "WORD", "NUMBER", "QUOTES", "INNER", "OUTER", "STORED")
ECHO = {
    "id": "echo",
    "type": "http.request",
    "params": {
        "url": "${{ vars.url }}/echo",
        "method": "POST",
        "headers": {f"X-{name}": ALL[name] for name in ASCII},
        "body": {"type": "json", "value": ALL},
    },
}
GOT = "${{ nodes.echo.output.body.sent }}"
CODE = """
import base64, json, urllib.parse
all = inputs["all"]
print("printed", all)
log("logged", level="warning", **all)
forms = {}
for name, value in all.items():
    raw = value.encode()
    print(value)
    print(f"before{' ' * 1900}{value}")
    forms[name] = {
        "base64": [base64.b64encode(b"x" * n + raw).decode() for n in range(3)],
        "urlsafe": base64.urlsafe_b64encode(raw).decode(), "hex": raw.hex(),
        "quoted": urllib.parse.quote(value, safe=""),
        "json": json.dumps({"v": value}), "twice": json.dumps(json.dumps(value)), "text": f"it is {value}.",
    }
    if len(value) >= 8:  # shorter ones are not looked for in keys, and not inside of words
        forms[f"key of {value}"] = {value: 1}
    if value.isdigit():
        forms["number"] = int(value)
return {"forms": forms, "large": [forms] * 8, "all": all}
"""
RAISE = """
for name, value in inputs["all"].items():
    print(name, value)
raise ValueError(f"{'x' * inputs['pad']} {inputs['all'][inputs['name']]} is wrong")
"""


def until[T](ask: Callable[[], T | None], seconds: float = 30) -> T:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return answer


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A model that repeats what it is told, in small pieces, and calls the tools with it."""

    def reply(body: Mapping[str, Any]) -> Answer:
        last = body["messages"][-1]
        if last["role"] == "user" and body.get("tools"):
            return Answer(calls=(Call(body["tools"][0]["function"]["name"], {"value": last["content"]}),))
        return Answer(f"You said {json.dumps(last['content'], ensure_ascii=False)} {last['content']}", piece=5)

    server, loop = ChatServer(reply), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class World:
    """A server with its secrets, what is outside of it, and everything that it was heard to say."""

    def __init__(self, data: Path, model: ChatServer, environment: Mapping[str, str]) -> None:
        self.outside = Outside()
        self.data = data
        self.heard: dict[str, bytes] = {}
        mounted = data.parent / "mounted"
        mounted.mkdir()
        (mounted / "LINES").write_text(SECRETS["LINES"])
        hosts = [url.partition("://")[2].partition("/")[0] for url in (self.outside.url, model.base_url)]
        self._environment = {
            **{f"AICFLOW_SECRET_{name}": v for name, v in SECRETS.items() if name not in ("LINES", "STORED")},
            "AICFLOW_SECRETS_DIR": str(mounted),
            "AICFLOW_HTTP_ALLOW_HOSTS": ",".join(hosts),
            "AICFLOW_LOG_LEVEL": "debug",
            **environment,
        }
        self.vars = {"url": self.outside.url, "model": model.base_url}
        self.workflows: list[str] = []
        self.executions: list[str] = []
        self._threads = ThreadPoolExecutor(16)
        self.start()
        self.api.put("/secrets/STORED", json={"value": SECRETS["STORED"]}).raise_for_status()
        self._services()

    def _services(self) -> None:
        @self.outside.on("POST", "/echo")
        def echo(asked: Asked) -> Any:
            return {"sent": asked.json(), "headers": asked.headers, "query": asked.query}

        @self.outside.on("GET", "/echo")
        def query(asked: Asked) -> Any:
            return {"headers": asked.headers, "query": asked.query}

        @self.outside.on("POST", "/refuse")
        def refuse(asked: Asked) -> Any:
            told = f"{'x' * int(asked.query['pad'])} {asked.json()['value']} is not known"
            return 400, {"error": told, **asked.headers}

        @self.outside.on("POST", "/text")
        def text(asked: Asked) -> Any:
            return f"<p>{asked.json()['value']}</p>"

    def start(self) -> None:
        self.server: Server = start_server(self.data, self._environment)
        self.api = httpx2.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=60)
        self.web = httpx2.Client(base_url=self.server.url, timeout=60)

    def kill(self) -> None:
        self.api.close()
        self.web.close()
        self.server.kill()

    def close(self) -> None:
        self.kill()
        self._threads.shutdown()
        self.outside.close()

    def hear(self, name: str, content: bytes) -> None:
        self.heard[name] = self.heard.get(name, b"") + content

    def save(self, name: str, nodes: list[Any], edges: list[str] = [], **rest: Any) -> str:  # noqa: B006
        pairs = [(a.split(), b.strip()) for a, b in (edge.split(">") for edge in edges)]
        links = [{"from": a[0], "to": b, **({"port": a[1]} if a[1:] else {})} for a, b in pairs]
        document = {"aicflow": 1, "name": name, "vars": self.vars, "nodes": nodes, "edges": links, **rest}
        saved = self.api.post("/workflows", params={"id": f"wf_{name}"}, json=document)
        assert saved.status_code == 201, saved.text
        self.hear(f"saving {name}", saved.content)
        self.workflows.append(saved.json()["id"])
        return str(saved.json()["id"])

    def begin(self, workflow_id: str, input: Any = None) -> str:
        started = self.api.post("/executions", json={"workflow_id": workflow_id, "input": input})
        assert started.status_code == 202, started.text
        self.hear(f"starting {workflow_id}", started.content)
        execution_id = str(started.json()["id"])
        self.executions.append(execution_id)
        self.listen(execution_id)
        return execution_id

    def listen(self, execution_id: str) -> None:
        """Both kinds of streams until the end, or until the server is killed."""
        url, headers = self.server.url, self.server.headers

        def websocket() -> None:
            address = f"{url.replace('http', 'ws')}/api/v1/executions/{execution_id}/stream"
            try:
                with connect(address, additional_headers=headers, max_size=None) as stream:
                    for frame in stream:
                        self.hear(f"WebSocket of {execution_id}", frame.encode() if isinstance(frame, str) else frame)
            except Exception:  # killed
                return

        def events() -> None:
            address = f"{url}/api/v1/executions/{execution_id}/stream"
            try:
                with httpx2.stream("GET", address, headers={**headers, "accept": "text/event-stream"}) as stream:
                    for chunk in stream.iter_bytes():
                        self.hear(f"SSE of {execution_id}", chunk)
            except Exception:  # killed
                return

        self._threads.submit(websocket)
        self._threads.submit(events)

    def ended(self, execution_id: str, *, succeeded: bool = True) -> dict[str, Any]:
        one = until(lambda: (one := self.api.get(f"/executions/{execution_id}").json())["finished_at"] and one)
        assert (one["status"] == "succeeded") == succeeded, one
        return dict(one)

    def run(self, name: str, nodes: list[Any], edges: list[str] = [], **rest: Any) -> dict[str, Any]:  # noqa: B006
        input, succeeded = rest.pop("input", None), rest.pop("succeeded", True)
        return self.ended(self.begin(self.save(name, nodes, edges, **rest), input), succeeded=succeeded)

    def waits(self, execution_id: str) -> None:
        def settled() -> Any:
            one = self.api.get(f"/executions/{execution_id}").json()
            return one if one["status"] not in ("queued", "running") else None

        one = until(settled)
        assert one["status"] == "waiting", one["error"]

    def command(self, *words: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
        environment = {**inherited, **self._environment, **self.server.environment}
        done = subprocess.run(
            [sys.executable, "-m", "aicflow.cli", *words],
            env=environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.hear(" ".join(words), done.stdout + done.stderr)
        assert words == ("doctor",) or done.returncode == 0, done.stderr.decode()

    def read_everything(self) -> None:
        """Every GET of the API, for everything that there is."""
        paths = self.api.get(f"{self.server.url}/openapi.json").json()["paths"]
        known: dict[str, list[Any]] = {
            "workflow_id": self.workflows,
            "execution_id": self._all("/executions"),
            "binding_id": self._all("/triggers"),
            "sha256": self._all("/files", "sha256"),
            "event_id": self._all("/events"),
            "name": list(SECRETS),
            "version": [1],
        }
        for path, calls in paths.items():
            if "get" not in calls or path.endswith("stream") or "type" in path or "plugins/" in path:
                continue
            for place in self._filled(path, known):
                answer = self.web.get(place, headers=self.server.headers)
                assert answer.status_code < 500, (place, answer.text)
                if not path.startswith("/api/v1/files/"):  # what was written to a file is what it holds
                    self.hear(f"GET {place}", answer.content + str(answer.headers).encode())

    def _all(self, path: str, key: str = "id") -> list[Any]:
        return [one[key] for one in self.api.get(path, params={"limit": 200}).json()["data"]]

    def _filled(self, path: str, known: Mapping[str, list[Any]]) -> Iterator[str]:
        name = path.partition("{")[2].partition("}")[0]
        if not name:
            yield path
            return
        before = path.partition("{")[0].removeprefix("/api/v1")
        found = known.get(name)
        if found is None:
            rows = self.api.get(before.rstrip("/").removesuffix("/output"))
            key = {"node_id": "node_id", "key": "key"}.get(name, "id")
            found = [one[key] for one in rows.json()["data"]] if rows.status_code == 200 else []
        for value in found:
            yield from self._filled(path.replace(f"{{{name}}}", quote(str(value), safe=""), 1), known)


def try_to_leak(world: World) -> None:
    """By every way out."""
    use = {"all": GOT}
    code = {"id": "code", "type": "python.code", "params": {"inputs": use, "code": CODE}}
    again = {
        "id": "again",
        "type": "http.request",
        "params": {
            "url": "${{ vars.url }}/echo",
            "query": {
                "q": "${{ nodes.echo.output.body.sent.INNER }}",
                "n": "${{ nodes.echo.output.body.sent.UNICODE }}",
            },
            "headers": {"X-Again": "${{ nodes.echo.output.body.sent.OUTER }}"},
        },
    }
    text = {
        "id": "text",
        "type": "http.request",
        "params": {
            "url": "${{ vars.url }}/text", "method": "POST",
            "body": {"type": "json", "value": {"value": "${{ nodes.echo.output.body.sent.LINES }}"}},
        },
    }  # fmt: skip
    keep = [
        {"id": "state", "type": "state.set", "params": {"key": "all", "value": GOT}},
        {"id": "read", "type": "state.get", "params": {"key": "all"}},
        {"id": "file", "type": "file.write", "params": {"text": "not a secret", "name": "a.txt"}},
    ]
    ended = world.run(
        "values", [ECHO, code, again, text, *keep],
        ["echo > code", "code > again", "again > text", "text > state", "state > read", "read > file"],
        output={"all": GOT, "code": "${{ nodes.code.output }}", "read": "${{ nodes.read.output }}",
                "again": "${{ nodes.again.output }}"},
    )  # fmt: skip
    assert ended["output"]["all"]["LONG"] == "***"

    for number, name in enumerate(SECRETS):
        value = f"${{{{ nodes.echo.output.body.sent.{name} }}}}"
        fail = {
            "type": "python.code",
            "params": {"code": RAISE, "inputs": {**use, "name": name, "pad": 3_990 + number % 9}},
        }
        refused = {
            "type": "http.request",
            "params": {
                "url": "${{ vars.url }}/refuse?pad=" + str(190 + 50 * number), "method": "POST",
                "body": {"type": "json", "value": {"value": value}},
            },
        }  # fmt: skip
        nodes = [
            ECHO, {"id": "fail", **fail}, {"id": "refused", **refused},
            {"id": "csv", "type": "data.parse_csv", "params": {
                "text": "a\n" + "1" * (70 - number) + " " + value, "types": {"a": "boolean"}}},
            {"id": "branch", "type": "logic.if_else", "params": {"condition": value}},
            {"id": "last", "type": "python.code", "params": {"inputs": {"fail": "${{ nodes.fail.error }}",
                "refused": "${{ nodes.refused.error }}", "csv": "${{ nodes.csv.error }}"}, "code": "return inputs"}},
            {"id": "end", **fail},
        ]  # fmt: skip
        edges = [
            "echo > fail",
            "fail error > refused",
            "refused error > csv",
            "csv error > branch",
            "branch error > last",
        ]
        world.run(f"errors_{name}", nodes, [*edges, "last > end"], succeeded=False)

    child = world.save(
        "child",
        [{"id": "c", "type": "python.code", "params": {"inputs": {"all": "${{ input }}"}, "code": CODE}}],
        output="${{ nodes.c.output }}",
    )
    call = {"id": "call", "type": "workflow.call", "params": {"workflow": child, "input": GOT}}
    world.run("parent", [ECHO, call], ["echo > call"], output="${{ nodes.call.output }}")

    one = {
        "id": "one",
        "type": "python.code",
        "params": {
            "inputs": {"v": "${{ item }}"},
            "code": "v = inputs['v']\nprint(v)\nif len(v) == 4:\n    raise ValueError(v)\nreturn {v: [v]}",
        },
    }
    three = "nodes.echo.output.body.sent.LONG, nodes.echo.output.body.sent.QUOTES, nodes.echo.output.body.sent.SHORT"
    body = {"over": f"${{{{ [{three}] }}}}", "key": "${{ item }}", "on_item_error": "continue", "nodes": [one]}
    each = {"id": "each", "map": {**body, "output": "${{ nodes.one.output }}"}}
    world.run("items", [ECHO, each], ["echo > each"], output="${{ nodes.each.output }}")

    tool = {
        "node": "http.request", "name": "repeat", "description": "Repeats it", "expose": ["query"],
        "params": {"method": "GET", "url": "${{ vars.url }}/echo", "headers": {"X-Tool": ALL["QUOTES"]}},
    }  # fmt: skip
    for name in ("QUOTES", "UNICODE", "LONG", "OUTER", "SHORT"):
        said = f"${{{{ nodes.echo.output.body.sent.{name} }}}}"
        params = {
            "model": "scripted",
            "base_url": "${{ vars.model }}",
            "api_key": ALL["OUTER"],
            "system_prompt": f"Say {said}",
        }
        agent = {"id": "agent", "type": "ai.agent", "params": {**params, "prompt": said, "tools": [tool]}}
        world.run(f"agent_{name}", [ECHO, agent], ["echo > agent"], output="${{ nodes.agent.output }}")


TAKE = {
    "id": "take",
    "type": "python.code",
    "params": {"inputs": {"all": "${{ trigger }}"}, "code": "print(inputs)\nreturn inputs"},
}
WAIT = {"id": "w", "type": "wait", "params": {"answer_schema": True}}


def deploy_what_waits(world: World) -> None:
    """Workflows into which answers, forms, events and webhooks carry what holds secrets."""
    hook = {"id": "hook", "type": "trigger.webhook", "params": {"path": "in", "delivery_header": "X-Delivery"}}
    message = "${{ trigger.body.LINES }} ${{ trigger.body.UNICODE }}"
    hold = {**WAIT, "params": {"answer_schema": True, "message": message}}
    same = "assert inputs['then'] == inputs['answer']\nreturn 'the same'"
    both = {"then": "${{ trigger.body }}", "answer": "${{ nodes.w.output.answer }}"}
    check = {"id": "check", "type": "python.code", "params": {"inputs": both, "code": same}}
    output = "${{ nodes.check.output }}"
    world.save("hooked", [TAKE, hold, check], ["take > w", "w > check"], output=output, triggers=[hook])
    respond = {"id": "respond", "type": "webhook.respond", "params": {"body": "${{ trigger }}"}}
    answering = {**hook, "params": {"path": "answered", "respond": {"mode": "node", "node": "respond"}}}
    world.save("answered", [respond], triggers=[answering], output="${{ trigger }}")
    returning = {**hook, "params": {"path": "output", "respond": {"mode": "output"}}}
    world.save("output", [TAKE], triggers=[returning], output="${{ nodes.take.output }}")
    schema = {"type": "object", "properties": {"said": {"type": "string", "pattern": "^[a-z. -]*$"}}}
    form = {"path": "form", "title": "Say it", "answer_schema": schema}
    world.save(
        "filled", [TAKE], triggers=[{"id": "form", "type": "trigger.form", "params": form}], output="${{ trigger }}"
    )
    heard = {"id": "heard", "type": "trigger.event", "params": {"name": "told"}}
    world.save("heard", [TAKE], triggers=[heard], output="${{ trigger }}")

    event = {"id": "w", "type": "wait", "params": {"event": {"name": "told", "key": "k"}}}
    asked = {
        "title": "Is it ${{ nodes.echo.output.body.sent.INNER }}?",
        "message": "${{ json(nodes.echo.output.body.sent) }}",
        "approvers": ["${{ nodes.echo.output.body.sent.UNICODE }}"],
    }
    ask = {"id": "ask", "type": "form.wait", "params": asked}
    outputs = ["${{ nodes.w.output }}", "${{ nodes.ask.output }}"]
    world.save("waits", [ECHO, event, ask], ["echo > w", "w > ask"], output=outputs)
    inputs = {"i": "${{ input }}", "a": "${{ nodes.w.output.answer }}"}
    take = {"id": "take", "type": "python.code", "params": {"inputs": inputs, "code": "return inputs"}}
    world.save("given", [WAIT, take], ["w > take"], output="${{ nodes.take.output }}")


def send_from_outside(world: World) -> str:
    """Calls of webhooks and forms, also wrong ones; returns the execution of the one that waits."""
    for path in ("in", "answered", "output"):
        headers = {"x-delivery": "1", "x-in": SECRETS["OUTER"]}
        sent = world.web.post(f"/hooks/{path}", json=SECRETS, params={"q": SECRETS["OUTER"]}, headers=headers)
        assert sent.status_code in (200, 202), sent.text
        world.hear(f"answer of {path}", sent.content)
    wrong = [{"answer": {"said": SECRETS["OUTER"]}}, {"answer": {"said": SECRETS["INNER"]}}]
    for body in (*wrong, {"answer": {}, **dict.fromkeys(SECRETS.values(), 1)}):
        sent = world.web.post("/forms/start/form", json=body, headers={"accept": "application/json"})
        assert sent.status_code == 422, sent.text
        world.hear("a form", sent.content)
    world.web.post("/forms/start/form", json={"answer": {"said": "something"}}).raise_for_status()
    found = world.api.get("/executions", params={"workflow_id": "wf_hooked"}).json()["data"]
    return str(found[0]["id"])


def wait_over_a_kill(world: World) -> None:
    """Executions whose inputs, answers and events hold secrets are under way when the server dies."""
    deploy_what_waits(world)
    hooked = send_from_outside(world)
    both, given = world.begin("wf_waits"), world.begin("wf_given", SECRETS)
    world.waits(hooked)
    world.waits(given)
    world.api.post("/events", json={"name": "told", "key": "other", "data": SECRETS}).raise_for_status()
    world.kill()
    world.start()
    for one in (hooked, both, given):
        world.listen(one)
    world.api.post("/events", json={"name": "told", "key": "k", "data": SECRETS}).raise_for_status()
    for one in (hooked, given):
        world.api.post(f"/executions/{one}/resume", json={"value": SECRETS}).raise_for_status()
    assert world.ended(hooked)["output"] == "the same", "what arrived is what nodes get, also after the kill"
    world.ended(given)

    def link() -> str | None:
        found = world.web.get(f"/form-links/{both}/ask", headers=world.server.headers)
        return str(found.json()["data"][0]["link"]) if found.status_code == 200 else None

    place = "/forms/" + until(link).rpartition("/")[2]
    world.hear("the page of a form", world.web.get(place).content)
    sent = world.web.post(place, data={"choice": "approve", "comment": SECRETS["OUTER"]})
    assert sent.status_code == 200, sent.text
    world.hear("the thanks of a form", sent.content)
    world.ended(both)

    again = world.web.post("/hooks/in", json=SECRETS, headers={"x-delivery": "1"})
    assert again.json()["execution_id"] == hooked, "the same delivery is known again"
    deliveries = "/triggers/wf_hooked:hook/deliveries"
    [delivery] = world.api.get(deliveries).json()["data"]
    replayed = world.api.post(f"{deliveries}/{delivery['id']}/replay").raise_for_status().json()["id"]
    world.waits(replayed)
    world.api.post(f"/executions/{replayed}/resume", json={"value": SECRETS}).raise_for_status()
    assert world.ended(replayed)["output"] == "the same", "a replay has what really arrived"


def refuse(world: World) -> None:
    """What the API says to requests that it does not take."""
    for name, value in SECRETS.items():
        for answer in (
            world.api.get(f"/executions/{quote(value, safe='')}"),
            world.api.get("/executions", params={"status": value, value: "x"}),
            world.api.post("/executions", json={"workflow_id": value}),
            world.api.post("/executions", json={"workflow_id": "wf_child", value: name}),
            world.api.post("/workflows", json={"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": value}]}),
            world.api.post("/workflows", content=value.encode()),
            world.api.put("/secrets/NEW", json={"value": {"x": value}}),
            world.web.get(f"/hooks/{quote(value, safe='')}"),
        ):
            assert answer.status_code < 500, answer.text
            world.hear(f"refused {name}", answer.content + str(answer.headers).encode())


def export(world: World) -> None:
    """By the command line and by the host."""
    world.command("executions", "list")
    for verb in ("show", "logs", "why"):
        world.command("executions", verb, world.executions[1])
    world.command("events", "list")
    world.command("audit", "export")
    world.command("secrets", "list", "--output", "json")
    world.command("doctor")
    world.command("subjects", "export", "--label", "of=somebody")


def leaks(world: World, more: Mapping[str, bytes]) -> list[str]:
    search = Leaks(SECRETS)
    assert len(search.found(b"".join(one.body for one in world.outside.asked))) >= len(SECRETS), "they were outside"
    found = []
    for place, content in {**world.heard, **more}.items():
        found += [f"{place}: {told} in {around!r}" for told, around in search.found(content).items()]
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files, but for those where the test itself keeps the secrets."""
    files = (path for path in folder.rglob("*") if path.is_file() and "mounted" not in path.parts)
    return {str(path): path.read_bytes() for path in files}


def attack(world: World) -> dict[str, bytes]:
    """All of it; returns what the data folder holds while the server still runs."""
    try_to_leak(world)
    wait_over_a_kill(world)
    refuse(world)
    world.read_everything()
    export(world)
    return {f"live {path}": content for path, content in contents(world.data).items()}


@pytest.fixture
def model() -> Iterator[ChatServer]:
    with chat_server() as server:
        yield server


def test_no_secret_is_found_anywhere(tmp_path: Path, model: ChatServer) -> None:
    world = World(tmp_path / "data", model, {})
    try:
        live = attack(world)
        world.command("db", "backup", str(tmp_path / "copy.db"))
    finally:
        world.close()
    found = leaks(world, live | contents(tmp_path))
    assert not found, "\n".join(found)


@pytest.mark.proof
@pytest.mark.skipif(binaries() is None, reason=MISSING)
def test_no_secret_is_found_on_postgresql(tmp_path: Path, model: ChatServer) -> None:
    folder = binaries()
    assert folder is not None
    with running_postgres() as postgres:
        url = postgres.new_database()
        world = World(tmp_path / "data", model, {"AICFLOW_STORE": url})
        try:
            live = attack(world)
        finally:
            world.close()
        dumped = subprocess.run(
            [str(folder / "pg_dump"), "--inserts", url], capture_output=True, check=True, timeout=120
        )
        kept = contents(postgres.folder)
    assert b"INSERT INTO" in dumped.stdout
    found = leaks(world, {**live, **kept, **contents(tmp_path), "all tables": dumped.stdout})
    assert not found, "\n".join(found)
