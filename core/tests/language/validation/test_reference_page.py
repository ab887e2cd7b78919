"""The page about validation tells the truth: each example is validated, and every code has one."""

import re
from pathlib import Path

import pytest
from aicflow.cli.plugins import quiet_plugins
from aicflow.host.documents import read_document
from aicflow.language.validation import CODES, Limits, Workflows, validate

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "validation.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```aicflow-issues\n(.*?)\n---\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def registry():
    return quiet_plugins().registry


def document_of(written):
    if many := re.search(r"^# Many: (.*)$", written, re.MULTILINE):
        written = written.replace("MANY", many[1] * 1_001)
    return whole(written)


def whole(written):
    return {"aicflow": 1, "name": "example", **read_document(written.encode(), "yaml").value}


def workflows_of(written):
    saved = {name: whole(text) for name, text in re.findall(r"^# Workflow (\w+): (.*)$", written, re.MULTILINE)}
    own = re.search(r"^# Id: (\w+)$", written, re.MULTILINE)
    some = "# Workflows: some" in written
    if own:
        saved[own[1]] = document_of(written)
    return Workflows(saved, not some, own and own[1]) if saved or some else None


@pytest.mark.parametrize(("written", "expected"), BLOCKS, ids=[expected.split()[0] for _, expected in BLOCKS])
def test_example(registry, written, expected):
    limits = re.search(r"^# Limits: (\w+)=(\d+)$", written, re.MULTILINE)
    secrets = re.search(r"^# Secrets: (.*)$", written, re.MULTILINE)
    found = validate(
        document_of(written),
        registry,
        limits=Limits(**{limits[1]: int(limits[2])}) if limits else None,
        secret_names=secrets[1].split(", ") if secrets else None,
        workflows=workflows_of(written),
    )
    assert [f"{issue.code} {issue.pointer}".strip() for issue in found] == expected.splitlines()


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_an_example_of_its_own(code):
    section = re.search(rf"\n### {re.escape(code)}\n(.*?)(?=\n##)", TEXT, re.DOTALL)
    assert section, f"{code} has no section"
    assert re.search(rf"---\n(.*\n)*{re.escape(code)}( |\n)", section[1]), f"{code} has no example"


def test_no_section_is_about_a_code_that_is_gone():
    assert set(re.findall(r"^### (\S+)$", TEXT, re.MULTILINE)) == set(CODES)


def test_warnings_are_said_to_be_warnings(registry):
    for written, _ in BLOCKS:
        around = workflows_of(written)
        for issue in validate(
            document_of(written), registry, limits=Limits(), secret_names=["TOKEN"], workflows=around
        ):
            section = re.search(rf"\n### {re.escape(issue.code)}\n(.*?)(?=\n##|\Z)", TEXT, re.DOTALL)[1]
            assert (issue.severity == "warning") == ("warning" in section), issue.code
