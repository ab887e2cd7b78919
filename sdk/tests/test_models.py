"""The SDK's records are those of the API: their fields are generated from the OpenAPI document."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SDK = Path(__file__).parents[1]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_models", SDK / "generate_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def schemas(generator: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(generator.OPENAPI.read_text("utf-8"))["components"]["schemas"]
    return found


def test_the_fields_are_those_of_the_api(generator: ModuleType, schemas: dict[str, Any]) -> None:
    for file in generator.FILES:
        source = file.read_text("utf-8")
        assert generator.generated(source, schemas) == source, f"run `make models`: {file.name} is not up to date"


def test_a_change_of_the_api_changes_the_record(generator: ModuleType, schemas: dict[str, Any]) -> None:
    trigger = schemas["Trigger"]
    trigger["properties"]["fired_at"] = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
    del trigger["properties"]["problem"]
    trigger["required"].remove("problem")
    source = generator.generated(generator.FILES[0].read_text("utf-8"), schemas)
    trigger_source = source.partition("class Trigger:")[2].partition("@dataclass")[0]
    assert "    fired_at: datetime | None = None\n" in trigger_source
    assert "    problem:" not in trigger_source


def test_every_reply_of_the_api_that_is_read_has_a_record(generator: ModuleType, schemas: dict[str, Any]) -> None:
    """A record that the API renames is noticed, and not left behind with the fields of yesterday."""
    for record, schema in generator.SCHEMA_OF.items():
        assert schema in schemas, record
    source = "".join(file.read_text("utf-8") for file in generator.FILES)
    for record in ("Execution", "Step", "Workflow", "WorkflowVersion", "NodeType", "TriggerType", "Plugin", "Trigger"):
        assert record in schemas, record
        assert f"class {record}" in source
