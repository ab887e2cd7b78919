"""Every hook is documented with its exact signature, and used by a plugin of ours."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from aicflow import ports
from aicflow.host.wiring import installed_plugins
from aicflow.kernel import hookspecs

ROOT = Path(__file__).parents[2]
HOOKS = {name: function for name, function in vars(hookspecs).items() if name.startswith("aicflow_")}
PORTS = (
    ports.Engine,
    ports.SecretSource,
    ports.KeyWrapper,
    ports.Observer,
    ports.Store,
    ports.WorkflowStore,
    ports.ExecutionStore,
    ports.TriggerStore,
    ports.EventStore,
    ports.KeyStore,
    ports.IdempotencyStore,
    ports.NodeSettingStore,
    ports.StateStore,
    ports.SecretStore,
    ports.FileStore,
    ports.SubjectStore,
    ports.AuditStore,
    ports.Maintenance,
    ports.WorkerStore,
    ports.SignalBus,
)


def test_there_are_hooks() -> None:
    assert len(HOOKS) == 9


def _signature(name: str, function: Any) -> str:
    """A function as it is declared: `def name(parameter: Type) -> Type`."""
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(declared, ast.FunctionDef | ast.AsyncFunctionDef)
    kind = "async def" if isinstance(declared, ast.AsyncFunctionDef) else "def"
    returned = ast.unparse(declared.returns) if declared.returns is not None else "None"
    return f"{kind} {name}({ast.unparse(declared.args)}) -> {returned}"


def _signatures() -> str:
    """Every hook and every method of the ports, as the page shows them."""
    lines = [_signature(name, hook) for name, hook in HOOKS.items()]
    for port in PORTS:
        lines += ["", f"class {port.__name__}:"]
        for name, member in vars(port).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                lines.append("    " + _signature(name, member))
            elif isinstance(member, property) and member.fget is not None:
                lines.append(f"    {name}: {member.fget.__annotations__['return']}")
        lines += [f"    {name}: {kind}" for name, kind in port.__annotations__.items()]
    return "```python\n" + "\n".join(lines) + "\n```\n"


def test_the_page_shows_every_hook_and_port_with_its_exact_signature() -> None:
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    _, _, shown = page.partition("## Signatures\n\n")
    assert shown == _signatures()


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_the_hook_is_in_the_table(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    parameters = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert f"`{name}({parameters})`" in page
    assert inspect.getdoc(HOOKS[name])


# a key of ours never leaves its place either, but it is the host's own: tests/acceptance/test_secrets.py is the user
@pytest.mark.parametrize("name", sorted(HOOKS.keys() - {"aicflow_key_wrappers"}))
def test_the_hook_has_a_real_user(name: str) -> None:
    manager = installed_plugins().manager
    assert getattr(manager.hook, name).get_hookimpls(), f"no plugin of ours implements {name}"


def test_the_public_face_is_sorted_and_whole() -> None:
    import aicflow

    assert list(aicflow.__all__) == sorted(aicflow.__all__)
    for name in aicflow.__all__:
        assert getattr(aicflow, name) is not None


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("*/src/*/**/*.py")), ids=lambda p: p.name)
def test_plugins_reach_no_deeper_than_the_public_face(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\s*(?:from|import) (aicflow(?:\.\w+)+)", line)
        assert match is None or match[1] in ("aicflow.net", "aicflow.ports", "aicflow.testing"), (
            f"{path}: {line.strip()}"
        )


def test_every_module_says_what_lives_there() -> None:
    sources = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("sdk/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    missing = [
        str(path) for path in sources if not path.read_text(encoding="utf-8").lstrip().startswith(('"""', "'''"))
    ]
    assert missing == []


def test_versions_agree() -> None:
    import tomllib

    import aicflow

    projects = [
        *ROOT.glob("core/pyproject.toml"),
        *ROOT.glob("sdk/pyproject.toml"),
        *ROOT.glob("plugins/*/pyproject.toml"),
    ]
    versions = {tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] for path in projects}
    assert versions == {aicflow.__version__}


def test_variables_of_node_types_are_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    registry = installed_plugins().registry
    kinds = [*registry.nodes(), *registry.triggers()]
    found = [(kind.type_id, *item) for kind in kinds for item in kind.cls.variables.items()]
    assert {"ai.agent", "http.request", "python.code"} <= {type_id for type_id, _, _ in found}
    for type_id, variable, meaning in found:
        assert f"| `{variable}` | `{type_id}` | {meaning} |" in page, f"{variable} is missing or differs"


@pytest.mark.parametrize("prefix", ["AICFLOW_HTTP_", "AICFLOW_AGENT_", "AICFLOW_PYTHON_", "AICFLOW_WEBHOOK_"])
def test_plugins_read_no_variable_that_they_do_not_name(prefix: str) -> None:
    registry = installed_plugins().registry
    kinds = [*registry.nodes(), *registry.triggers()]
    named = {name for kind in kinds for name in kind.cls.variables}
    written = {
        match
        for path in (ROOT / "plugins").glob("*/src/**/*.py")
        for match in re.findall(rf"{prefix}[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert written <= named
