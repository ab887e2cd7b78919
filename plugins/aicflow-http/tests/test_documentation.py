"""What the documentation shows is true: every block is read, and every name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aicflow.net import HttpSettings
from aicflow_http import HttpRequest, HttpRequestParams, HttpResponse
from aicflow_http.params import HmacAuth

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs/reference/http-request.md"
PAGES = [ROOT / "docs/how-to/http-request.md", REFERENCE, ROOT / "plugins/aicflow-http/README.md"]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def nodes() -> Iterator[dict[str, Any]]:
    for path in PAGES:
        for block in blocks(path, "yaml"):
            read = yaml.safe_load(block)
            if isinstance(read, dict):
                yield {"url": "https://example.com", **read}
                continue
            yield from (with_files(node["params"]) for node in read if node["type"] == "http.request")


def with_files(params: Any) -> Any:
    """Params with a file in place of each reference to one."""
    if isinstance(params, list):
        return [with_files(part) for part in params]
    if not isinstance(params, dict):
        return params
    file = {"$blob": "0" * 64, "size": 1}
    return {name: file if name == "file" else with_files(part) for name, part in params.items()}


@pytest.mark.parametrize("params", list(nodes()))
def test_every_example_is_valid(params: dict[str, Any]) -> None:
    HttpRequestParams.model_validate(params)
    assert list(HttpRequest.check(params)) == []


def test_the_python_runs() -> None:
    for block in blocks(REFERENCE, "python"):
        exec(compile(block, str(REFERENCE), "exec"), {})


def test_every_param_and_output_is_described() -> None:
    text = REFERENCE.read_text("utf-8")
    for model in (HttpRequestParams, HttpResponse, HmacAuth):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, name


def test_every_error_code_is_described() -> None:
    text = REFERENCE.read_text("utf-8")
    source = "".join(path.read_text("utf-8") for path in (ROOT / "plugins/aicflow-http/src").rglob("*.py"))
    codes = set(re.findall(r'"(http-[a-z-]+)"', source))
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []


def test_the_allow_list_of_the_page_is_one() -> None:
    (line,) = re.findall(r"^AICFLOW_HTTP_ALLOW_HOSTS=\"(.*)\"$", PAGES[0].read_text("utf-8"), re.MULTILINE)
    rules = HttpSettings.from_environment({"AICFLOW_HTTP_ALLOW_HOSTS": line}).allow
    assert rules.names("a.svc.cluster.local", 80)
