"""What the README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from aicflow.kernel.registry import Registry
from aicflow.language.validation import validate
from aicflow_forms.trigger import FormTrigger
from aicflow_forms.wait import FormWait

TEXT = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_example_is_valid() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    registry = Registry()
    registry.register(FormWait)
    document = {
        "aicflow": 1,
        "name": "x",
        "nodes": yaml.safe_load(block),
        "input_schema": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]},
    }
    assert validate(document, registry) == []


def test_every_param_and_code_is_described() -> None:
    waits, _, starts = TEXT.partition("## `trigger.form`")
    for part, cls in ((waits, FormWait), (starts, FormTrigger)):
        assert [name for name in cls.params_model.model_fields if f"`{name}`" not in part] == []
    assert [code for code in FormWait.errors if f"`{code}`" not in TEXT] == []
