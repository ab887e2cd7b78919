"""A sandbox shared by the stories of a module, and the corpus runner as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from aicflow_python.sandbox import Call, Limits, Outcome, ProcessSandbox

type Run = Callable[..., Awaitable[Outcome]]


@pytest.fixture(scope="session")
def corpus() -> ModuleType:
    """The module beside this one; tests are not a package."""
    path = Path(__file__).with_name("corpus_runner.py")
    spec = importlib.util.spec_from_file_location("corpus_runner", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus_runner"] = module
    spec.loader.exec_module(module)
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[ProcessSandbox]:
    box = ProcessSandbox(warm=2)
    await box.start()
    yield box
    await box.close()


@pytest.fixture
def run(sandbox: ProcessSandbox, request: pytest.FixtureRequest) -> Run:
    """Runs code in a scope of this test's own."""

    async def run(code: str, inputs: dict[str, Any] | None = None, *, scope: str | None = "", **limits: Any) -> Outcome:
        where = request.node.name if scope == "" else scope
        return await sandbox.call(Call(code, inputs or {}, Limits(**limits)), where)

    return run
