"""What the documentation shows is what happens."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aicflow_trigger.cron import CronParams, CronPayload
from aicflow_trigger.respond import RespondParams
from aicflow_trigger.schedule import Schedule
from aicflow_trigger.webhook_params import HmacAuth, WebhookParams, WebhookPayload
from pydantic import BaseModel

HERE = Path(__file__).parents[1]
EXPLANATION = HERE.parents[1] / "docs" / "explanation" / "schedules.md"


def test_the_example_in_the_readme_runs() -> None:
    for code in re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})


def _rows() -> list[tuple[str, str, str, str]]:
    """The table of the section "The rule at work"."""
    section = EXPLANATION.read_text().split("## The rule at work")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    assert len(rows) == 8
    return rows


@pytest.mark.parametrize(("expression", "kind", "march", "october"), _rows())
def test_the_table_of_the_explanation_is_true(expression: str, kind: str, march: str, october: str) -> None:
    schedule = Schedule.parse(expression, "Europe/Amsterdam")
    assert schedule.kind == kind
    for cell, start, end in (
        (march, datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 3, 29, 21, tzinfo=UTC)),
        (october, datetime(2026, 10, 24, 21, 59, tzinfo=UTC), datetime(2026, 10, 25, 22, tzinfo=UTC)),
    ):
        times = re.findall(r"\d\d:\d\d", cell)
        fired = [fire.local[11:16] for fire in schedule.fires_between(start, end)]
        assert any(fired[at : at + len(times)] == times for at in range(len(fired)))


@pytest.mark.parametrize("model", [CronParams, CronPayload, WebhookParams, WebhookPayload, HmacAuth, RespondParams])
def test_every_param_and_field_stands_in_the_reference(model: type[BaseModel]) -> None:
    reference = (HERE.parents[1] / "docs" / "reference" / "triggers.md").read_text()
    missing = [name for name in model.model_fields if f"`{name}`" not in reference]
    assert not missing
