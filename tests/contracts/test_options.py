"""Every option is read where it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, make_dataclass
from functools import cache
from inspect import getsourcefile
from pathlib import Path

import pytest
from aicflow.engine.options import EngineOptions
from aicflow.host.connections import ConnectionLimits
from aicflow.host.documents import Limits as DocumentLimits
from aicflow.host.settings import Settings
from aicflow.language.validation.limits import Limits as ValidationLimits
from aicflow.net.settings import HttpSettings
from aicflow_python.sandbox.box.seal import SealLimits
from aicflow_python.sandbox.port import Limits as SandboxLimits
from aicflow_python.settings import PythonSettings
from aicflow_trigger.bodies import BodyLimits

ROOT = Path(__file__).parents[2]
OPTIONS = [
    EngineOptions,
    Settings,
    DocumentLimits,
    ValidationLimits,
    ConnectionLimits,
    HttpSettings,
    PythonSettings,
    SandboxLimits,
    SealLimits,
    BodyLimits,
]
HOLDERS = ("options", "settings", "limits", "limit", "config", "self", "policy")


@cache
def reads() -> frozenset[tuple[str, str]]:
    """The attributes that source files read of something that is called like options: (attribute, file)."""
    found: set[tuple[str, str]] = set()
    for folder in (ROOT / "core", *sorted((ROOT / "plugins").glob("*"))):
        for path in (folder / "src").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    holder = _last_name(node.value)
                    own = holder == "self"
                    if own or any(holder.endswith(one) for one in HOLDERS):
                        found.add((node.attr, str(path) if own else ""))
    return frozenset(found)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    return node.id.lower() if isinstance(node, ast.Name) else ""


def options_of(cls: type) -> Iterator[str]:
    if is_dataclass(cls):
        yield from (field.name for field in fields(cls))
    else:
        yield from getattr(cls, "model_fields", None) or cls.__annotations__


def unread(cls: type) -> list[str]:
    file = getsourcefile(cls) or ""
    names = list(options_of(cls))
    assert names
    return [name for name in names if (name, "") not in reads() and (name, file) not in reads()]


@pytest.mark.parametrize("cls", OPTIONS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_option_is_read_somewhere(cls: type) -> None:
    assert unread(cls) == []


def test_an_option_that_nothing_reads_is_found() -> None:
    planted = make_dataclass("Planted", [("grace", float), ("never_read_anywhere", int)])
    assert unread(planted) == ["never_read_anywhere"]
