"""The reference names everything that is public, with the parameters it has; the README's program runs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import aicflow_sdk
import pytest
from aicflow_sdk import AICFlow, AsyncAICFlow, Workflow
from sdk_kit import RESOURCES, Server

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "sdk.md").read_text("utf-8")
README = (ROOT / "sdk" / "README.md").read_text("utf-8")


def signature(method: object) -> str:
    """The parameters without types, the way the reference writes them."""
    found = inspect.signature(method)  # type: ignore[arg-type]
    return str(found.replace(
        parameters=[p.replace(annotation=p.empty) for p in found.parameters.values()], return_annotation=found.empty
    ))  # fmt: skip


def public(value: object) -> dict[str, object]:
    """The public methods of a resource."""
    found = ((name, getattr(value, name)) for name in dir(value) if not name.startswith("_"))
    return {name: member for name, member in found if callable(member)}


def methods() -> list[tuple[str, str, str]]:
    with AICFlow("http://127.0.0.1:1", "k") as client:
        return [
            (resource, name, signature(member))
            for resource in RESOURCES
            for name, member in public(getattr(client, resource)).items()
        ]


async def test_both_clients_have_the_same_methods() -> None:
    with AICFlow("http://127.0.0.1:1", "k") as client:
        async with AsyncAICFlow("http://127.0.0.1:1", "k") as other:
            for resource in RESOURCES:
                one, two = public(getattr(client, resource)), public(getattr(other, resource))
                assert {name: signature(member) for name, member in one.items()} == {
                    name: signature(member) for name, member in two.items()
                }


@pytest.mark.parametrize(("resource", "name", "parameters"), methods())
def test_every_method_is_in_the_reference(resource: str, name: str, parameters: str) -> None:
    assert f"`{name}{parameters}`" in REFERENCE or f"`{resource}.{name}{parameters}`" in REFERENCE


def test_every_public_name_is_in_the_reference() -> None:
    missing = [name for name in aicflow_sdk.__all__ if not re.search(rf"\b{name}\b", REFERENCE)]
    assert missing == []


def test_every_member_of_a_workflow_is_in_the_reference() -> None:
    names = [
        name
        for name in dir(Workflow("w"))
        if not name.startswith("_") and name not in ("name", "description", "input_schema")
    ]
    assert [name for name in names if not re.search(rf"(wf|Workflow)\.{name}\b", REFERENCE)] == []


def test_methods_have_documentation() -> None:
    with AICFlow("http://127.0.0.1:1", "k") as client:
        for resource, name, _ in methods():
            assert inspect.getdoc(getattr(getattr(client, resource), name)), f"{resource}.{name}"


def test_the_program_of_the_readme_runs(server: Server) -> None:
    program = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    file = server.data_dir / "readme.py"
    file.write_text(program, "utf-8")
    done = subprocess.run([sys.executable, str(file)], env=server.environ, capture_output=True, text=True, timeout=60)
    assert done.stdout == "{'to_pay': 225.0}\n", done.stderr
