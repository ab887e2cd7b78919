"""Loading plugins: what is wrong with one of them is reported and never stops the others."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest
from aicflow import Context, Node, Params, Trigger, hookimpl, node
from aicflow.definition import definition_problem
from aicflow.host.plugins import Plugins, load_plugins
from aicflow.kernel.errors import NotFound, PluginError
from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.registry import Registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, in which a test installs plugins."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(folder: Path, name: str, code: str, requires: str = "aicflow>=0.1,<0.2") -> EntryPoint:
    """Write a plugin as pip would leave it: a module and its metadata."""
    module = f"plugin_{name}"
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\nRequires-Dist: {requires}\n")
    (info / "entry_points.txt").write_text(f"[aicflow]\n{name} = {module}\n")
    return next(iter(Distribution.at(info).entry_points))


def load(*found: EntryPoint, **more: Any) -> Plugins:
    return load_plugins([], core_version="0.1.0", found=found, **more)


GOOD = """
from aicflow import node, hookimpl

@node("{name}.upper")
async def upper(text: str) -> str:
    "Upper case."
    return text.upper()

@hookimpl
def aicflow_nodes():
    return [upper]
"""


def test_a_good_plugin_fills_the_registry(folder: Path) -> None:
    plugins = load(install(folder, "good", GOOD.format(name="good")))
    info = plugins.infos[0]
    assert (info.name, info.distribution, info.version, info.status) == ("good", "plugin_good", "1.2", "loaded")
    assert info.node_types == ["good.upper"]
    registered = plugins.registry.node("good.upper")
    assert registered.provider.distribution == "plugin_good"
    assert registered.cls.params_schema()["properties"] == {"text": {"title": "Text", "type": "string"}}


@pytest.mark.parametrize(
    ("code", "requires", "problem", "words"),
    [
        ("import nothing_of_this_name", "aicflow>=0.1", "import-failed", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "aicflow>=0.1", "import-failed", "SystemExit"),
        ("syntax error", "aicflow>=0.1", "import-failed", "SyntaxError"),
        (GOOD.format(name="bad"), "aicflow>=9", "incompatible", "needs aicflow>=9, this is aicflow 0.1.0"),
        (GOOD.replace("aicflow_nodes", "aicflow_nodez").format(name="bad"), "aicflow", "bad-hook", "aicflow_nodez"),
        (GOOD.replace("nodes()", "nodes(nothing)").format(name="bad"), "aicflow", "bad-hook", "nothing"),
        (GOOD.replace("[upper]", "1 / 0").format(name="bad"), "aicflow", "hook-failed", "ZeroDivisionError"),
        (GOOD.replace("[upper]", "7").format(name="bad"), "aicflow", "hook-failed", "not iterable"),
        (GOOD.replace("[upper]", "[int]").format(name="bad"), "aicflow", "bad-type", "not a Node"),
        (GOOD.format(name="Bad Name"), "aicflow", "bad-type", "lower-case words"),
    ],
)
def test_a_bad_plugin_is_reported_and_the_others_work(
    folder: Path, code: str, requires: str, problem: str, words: str
) -> None:
    plugins = load(install(folder, "bad", code, requires), install(folder, "good", GOOD.format(name="good")))
    bad, good = plugins.infos
    assert bad.status in ("failed", "partial")
    assert bad.problems[0][0] == problem
    assert words in bad.problems[0][1]
    assert good.status == "loaded"
    assert plugins.registry.node("good.upper")


IMPORT = "from aicflow import hookimpl, node, Node, Params, StoreType, Mount, Command\n"
HOOK = "@hookimpl\ndef {hook}({args}):\n    return {value}\n"


def hook(name: str, value: str, args: str = "") -> str:
    return IMPORT + HOOK.format(hook=name, value=value, args=args)


@pytest.mark.parametrize(
    ("code", "problem", "line", "words"),
    [
        ("x = 1\nimport nothing_of_this_name\n", "import-failed", 2, "is it in the plugin's dependencies?"),
        ("x = 1\nimport plugin_bad.more\n", "import-failed", 2, "ModuleNotFoundError"),
        ("from aicflow import hookimp\n", "import-failed", 1, "Did you mean 'hookimpl'?"),
        ("x = 1\n\nx = = 2\n", "import-failed", 3, "SyntaxError"),
        ("def f():\n    return 1 / 0\n\nf()\n", "import-failed", 2, "ZeroDivisionError"),
        (hook("aicflow_node", "[]"), "bad-hook", 2, "Did you mean 'aicflow_nodes'?"),
        ("def aicflow_nodes():\n    return []\n", "bad-hook", 1, "not marked with @hookimpl"),
        ("x = 1\n", "no-hooks", None, "Define `aicflow_nodes` with @hookimpl"),
        (hook("aicflow_nodes", "1 / 0"), "hook-failed", 4, "ZeroDivisionError"),
        (
            IMPORT + "class P(Params):\n    n: int = 'x'\nclass N(Node[P, int]):\n    type_id = 'a.b'\n"
            "    async def run(self, ctx, params): return 1\n"
            + HOOK.format(hook="aicflow_nodes", value="[N]", args=""),
            "bad-type",
            6,
            "the default of params field 'n' does not fit its type: 'x'",
        ),
        (
            IMPORT
            + "class N(Node[Params, int]):\n    type_id = 'a.b'\n    async def run(self, params): return 1\n"
            + HOOK.format(hook="aicflow_nodes", value="[N]", args=""),
            "bad-type",
            4,
            "N.run must take (self, ctx, params), not (self, params)",
        ),
        (
            IMPORT + "class Thing: pass\nclass N(Node[Params, Thing]):\n    type_id = 'a.b'\n"
            "    async def run(self, ctx, params): return 1\n"
            + HOOK.format(hook="aicflow_nodes", value="[N]", args=""),
            "bad-type",
            5,
            "cannot be described as JSON",
        ),
        (
            IMPORT
            + "@node('a.b')\nasync def shout(text: str) -> str:\n    return text\n"
            + HOOK.format(hook="aicflow_nodes", value="[shout]", args=""),
            "advice",
            2,
            "has no docstring",
        ),
        (
            IMPORT
            + "@node('a.b')\nasync def shout(text: str, retry: int) -> str:\n    'Shout.'\n    return text\n"
            + HOOK.format(hook="aicflow_nodes", value="[shout]", args=""),
            "advice",
            2,
            "'retry' has the name of a node option",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    folder: Path, code: str, problem: str, line: int | None, words: str
) -> None:
    told = load(install(folder, "bad", code)).infos[0].problems[0]
    assert told[0] == problem
    assert words in told[1]
    if line is not None:
        assert f"plugin_bad.py:{line}: " in told[1]


@pytest.mark.parametrize(
    ("name", "value", "args", "words"),
    [
        ("aicflow_stores", "['sqlite']", "", "aicflow_stores returned 'sqlite': StoreType(scheme, create) is expected"),
        ("aicflow_engines", "[dict]", "", "EngineType(name, create) is expected"),
        ("aicflow_secrets", "[object()]", "runtime", "a SecretSource needs"),
        ("aicflow_observers", "[print]", "", "a Observer needs events"),
        ("aicflow_routes", "('/x', print)", "runtime", "Mount(path, app, public, scope) is expected"),
        ("aicflow_routes", "[Mount('x', print)]", "runtime", "a path that starts with '/'"),
        ("aicflow_commands", "'hello'", "", "it must return a list, not 'hello'"),
        ("aicflow_commands", "[{'name': 'x'}]", "", "Command(name, function, group, help) is expected"),
    ],
)
def test_what_a_hook_returns_is_checked(folder: Path, name: str, value: str, args: str, words: str) -> None:
    plugins = load(install(folder, "bad", hook(name, value, args)))
    assert plugins.collect(name, **dict.fromkeys(args.split())) == []
    info = plugins.infos[0]
    assert info.status == "partial"
    assert words in " ".join(message for _, message in info.problems)


def test_a_clash_leaves_the_first_one_alone(folder: Path) -> None:
    plugins = load(install(folder, "one", GOOD.format(name="same")), install(folder, "two", GOOD.format(name="same")))
    one, two = plugins.infos
    assert one.status == "loaded"
    assert two.problems == [("clash", "'same.upper' version 1 of plugin 'two' is already provided by plugin 'one'")]
    assert plugins.registry.node("same.upper").provider.plugin == "one"


@pytest.mark.parametrize("name", ["good", "plugin_good"])
def test_a_plugin_is_blocked_by_its_name_or_its_distribution(folder: Path, name: str) -> None:
    plugins = load(install(folder, "good", GOOD.format(name="good")), blocked=[name])
    assert plugins.infos[0].status == "blocked"
    with pytest.raises(NotFound):
        plugins.registry.node("good.upper")


def test_collect_leaves_out_who_fails(folder: Path) -> None:
    code = "from aicflow import hookimpl\n@hookimpl\ndef aicflow_commands():\n    raise RuntimeError('no')\n"
    fine = (
        "from aicflow import hookimpl, Command\n@hookimpl\ndef aicflow_commands():\n    return [Command('x', print)]\n"
    )
    plugins = load(install(folder, "a", code), install(folder, "b", fine))
    assert [command.name for command in plugins.collect("aicflow_commands")] == ["x"]
    assert plugins.infos[0].problems[0][0] == "hook-failed"


def test_built_in_plugins_use_the_same_hooks() -> None:
    @node("own.thing")
    async def thing() -> int:
        return 1

    module = types.ModuleType("own")
    module.aicflow_nodes = hookimpl(lambda: [thing])  # type: ignore[attr-defined]
    plugins = load_plugins([("own", module)], core_version="0.1.0", found=[])
    assert plugins.registry.node("own.thing").provider.plugin == "own"


class NoParams(Params):
    pass


class Fine(Node[NoParams, int]):
    type_id = "t.fine"

    async def run(self, ctx: Context, params: NoParams) -> int:
        return 1


def test_the_registry_keeps_versions_apart() -> None:
    class Newer(Fine):
        version = 2

    registry = Registry()
    before = registry.generation
    registry.register(Fine)
    registry.register(Newer)
    registry.register(Fine)
    assert registry.generation > before
    assert registry.node("t.fine").cls is Newer
    assert registry.node("t.fine", 1).cls is Fine
    assert registry.versions("t.fine") == [1, 2]
    with pytest.raises(NotFound) as unknown:
        registry.node("t.fine", 3)
    assert unknown.value.hint == "Installed: version 1, 2."
    with pytest.raises(NotFound) as misspelt:
        registry.node("t.fin")
    assert misspelt.value.hint == "Did you mean 't.fine'?"


def test_settings_work_at_once() -> None:
    registry = Registry()
    registry.register(Fine)
    registry.configure(NodeSetting("t.fine", enabled=False))
    assert not registry.node("t.fine").setting.enabled
    registry.configure_all([])
    assert registry.node("t.fine").setting.enabled


def bad_definitions() -> list[tuple[type, str]]:
    class NoId(Node[NoParams, int]):
        async def run(self, ctx: Context, params: NoParams) -> int:
            return 1

    class NoRun(Node[NoParams, int]):
        type_id = "t.x"

    class NoTypes(Node):  # type: ignore[type-arg]
        type_id = "t.x"

        async def run(self, ctx: Context, params: Any) -> int:
            return 1

    class BadVersion(Fine):
        version = 0

    class BadPorts(Fine):
        ports = ("main", "error")

    class NoPorts(Fine):
        ports = ()

    class TriggerWithoutTypes(Trigger):  # type: ignore[type-arg]
        type_id = "t.t"

    return [
        (NoId, "type_id"),
        (NoRun, "does not define run"),
        (NoTypes, "must name its params"),
        (BadVersion, "version"),
        (BadPorts, "without 'error'"),
        (NoPorts, "ports"),
        (TriggerWithoutTypes, "params and payload"),
    ]


@pytest.mark.parametrize(("cls", "words"), bad_definitions(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_definition_says_what_is_wrong(cls: type, words: str) -> None:
    with pytest.raises(PluginError, match=words) as error:
        Registry(definition_problem).register(cls)  # type: ignore[arg-type]
    assert error.value.code == "bad-type"
