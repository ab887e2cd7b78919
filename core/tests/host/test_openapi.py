"""The OpenAPI document: it is the code's, it is valid, and answers are as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import openapi_spec_validator
import pytest
from aicflow.host import openapi
from aicflow.host.app import create_app
from aicflow.host.openapi import document, text
from aicflow.host.settings import Settings, settings_table
from aicflow.problems import TITLES

from .conftest import ECHO, Host

ROOT = Path(__file__).parents[3]
METHODS = {"get", "head", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document(create_app(Settings()))


def test_the_exported_document_is_the_codes() -> None:
    exported = ROOT / "docs" / "openapi" / "openapi.json"
    assert exported.read_text("utf-8") == text(create_app(Settings())), "Write it again: make openapi"


def test_the_document_is_valid_by_the_specification(api: dict[str, Any]) -> None:
    openapi_spec_validator.validate(api)
    assert all(tag["description"] for tag in api["tags"]), "describe the tag in openapi.py"


def test_every_body_has_an_example_that_fits_it(api: dict[str, Any]) -> None:
    for path, operations in api["paths"].items():
        for method, call in operations.items():
            for kind, content in call.get("requestBody", {}).get("content", {}).items():
                if not kind.endswith(("json", "yaml")):
                    continue
                schema = {**content["schema"], "components": api["components"]}
                named = api["components"]["schemas"].get(content["schema"].get("$ref", "").rpartition("/")[2], {})
                examples = [one["value"] for one in content.get("examples", {}).values()] + named.get("examples", [])
                assert examples, f"{method.upper()} {path} has a body without an example (`_example` in requests.py)"
                for example in examples:
                    jsonschema.Draft202012Validator(schema).validate(example)


def unbounded(schema: Any, where: str) -> list[str]:
    """Integers without a maximum: no store keeps those beyond 64 bits."""
    if isinstance(schema, list):
        return [found for one in schema for found in unbounded(one, where)]
    if not isinstance(schema, dict):
        return []
    own = [where] if schema.get("type") == "integer" and schema.get("maximum", 2**60) > 2**53 else []
    return own + [
        found for name, one in schema.items() if name != "examples" for found in unbounded(one, f"{where} {name}")
    ]


def test_every_number_that_a_request_holds_has_a_bound(api: dict[str, Any]) -> None:
    models = {model.__name__ for model in openapi._READ_BY_ROUTES} - {"WorkflowDocument"}
    found = [one for name in models for one in unbounded(api["components"]["schemas"][name], name)]
    found.remove("SendEvent properties key anyOf")  # kept as text
    for path, operations in api["paths"].items():
        for method, call in operations.items():
            for parameter in call.get("parameters", []):
                found += unbounded(parameter["schema"], f"{method} {path} {parameter['name']}")
    assert found == []


def test_every_call_says_how_it_is_refused(api: dict[str, Any]) -> None:
    for path, operations in api["paths"].items():
        for method, call in operations.items():
            wanted = {"422"} if path == "/livez" else {"422", "429", "503"}
            if call["security"]:
                wanted |= {"401", "403"}
            if "requestBody" in call:
                wanted |= {"413"}
            assert wanted <= set(call["responses"]), (method, path)
            for status, response in call["responses"].items():
                if status >= "400":
                    found = api["components"]["responses"].get(response.get("$ref", "").rpartition("/")[2], response)
                    assert "application/problem+json" in found["content"], (method, path, status)


def test_every_reference_leads_somewhere_and_every_schema_is_one(api: dict[str, Any]) -> None:
    assert api["openapi"].startswith("3.1")
    known = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in api["components"][kind]}
    assert set(re.findall(r'"\$ref": ?"([^"]+)"', text(create_app(Settings())))) <= known
    for schema in api["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [call["operationId"] for path in api["paths"].values() for call in path.values()]
    assert len(ids) == len(set(ids))


def test_every_route_is_documented(api: dict[str, Any]) -> None:
    for path, operations in api["paths"].items():
        for method, call in operations.items():
            assert method in METHODS
            assert call["summary"]
            assert call["description"]
            if path.startswith("/api/"):
                assert call["security"], (method, path)
                assert {"401", "403"} <= set(call["responses"])


def fits(api: dict[str, Any], name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_answers_are_as_the_document_says(host: Host, api: dict[str, Any]) -> None:
    workflow = host.save({**ECHO, "triggers": [{"id": "bell", "type": "test.bell"}]})
    execution = host.start(workflow["id"], {"a": 1})
    node = {"id": "say", "type": "test.chatter", "params": {"lines": "${{ input.n }}"}}
    host.save({**ECHO, "nodes": [node], "output": 1}, id="failing")
    failed = host.start("failing", {"n": "many"})
    assert failed["status"] == "failed"
    path = f"/executions/{execution['id']}"
    for name, value in {
        "Workflow": workflow,
        "Execution": execution,
        "WorkflowPage": host.client.get("/workflows").json(),
        "WorkflowVersion": host.client.get(f"/workflows/{workflow['id']}/versions/1").json(),
        "WorkflowVersionPage": host.client.get(f"/workflows/{workflow['id']}/versions").json(),
        "WorkflowDiff": host.client.get("/workflows/failing/diff?from=1&to=1").json(),
        "ExecutionPage": host.client.get("/executions").json(),
        "Steps": host.client.get(f"{path}/steps?fields=output").json(),
        "Events": host.client.get(f"{path}/events").json(),
        "Why": host.client.get(f"{path}/why").json(),
        "NodeTypePage": host.client.get("/node-types").json(),
        "TriggerTypePage": host.client.get("/trigger-types").json(),
        "PluginPage": host.client.get("/plugins").json(),
        "WorkerPage": host.client.get("/workers").json(),
        "Scaling": host.client.get("/scaling").json(),
        "TriggerPage": host.client.get("/triggers").json(),
        "SubjectFound": host.client.post("/subjects/find", json={"value": "x"}).json(),
        "SubjectExport": host.client.post("/subjects/export", json={"value": "x"}).json(),
        "SubjectErased": host.client.post("/subjects/erase", json={"value": "x"}).json(),
        "ProcessingRecord": host.client.get("/subjects/record").json(),
        "AuditPage": host.client.get("/audit").json(),
        "AuditReport": host.client.get("/audit/verify").json(),
        "ApiKeyPage": host.client.get("/api-keys").json(),
        "StateEntry": host.client.put(f"/workflows/{workflow['id']}/state/a", json={"value": [1]}).json(),
        "StatePage": host.client.get(f"/workflows/{workflow['id']}/state").json(),
        "ApiKeyCreated": host.client.post("/api-keys", json={"name": "x", "scopes": ["read"]}).json(),
        "ValidationResult": host.client.post("/workflows/validate", json={**ECHO, "nodes": []}).json(),
        "ProblemDocument": host.client.get("/workflows/none").json(),
        "Ready": host.client.get(host.url + "/readyz").json(),
        "WorkflowDocument": ECHO,
    }.items():
        fits(api, name, value)
    fits(api, "Execution", failed)
    fits(api, "Steps", host.client.get(f"/executions/{failed['id']}/steps").json())
    for event in host.client.get(f"{path}/events").json()["data"]:
        fits(api, "Event", event)


def test_the_docs_page_is_interactive_and_loads_everything_from_this_host(host: Host) -> None:
    with httpx2.Client(base_url=host.url) as browser:  # without a key
        page = browser.get("/docs")
        policy = page.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert "docs/swagger-ui-bundle.js" in loaded
        assert "<script>" not in page.text, "the policy lets no script run that stands in the page"
        for name in loaded:
            assert "//" not in name
            assert browser.get(f"/{name}").status_code == 200, name
        assert "SwaggerUIBundle(" in browser.get("/docs/start.js").text
        assert browser.get("/openapi.json").json()["info"]["title"] == "AIC Flow"


def test_the_root_leads_a_browser_to_the_docs_and_tells_a_program_where_the_api_is(host: Host, new_host: Any) -> None:
    with httpx2.Client(base_url=host.url) as anyone:
        led = anyone.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert (led.status_code, led.headers["location"]) == (307, "docs")
        told = anyone.get("/").json()
        assert (told["api"], told["docs"]) == ("/api/v1", "/docs")
    with new_host(docs=False) as quiet, httpx2.Client(base_url=quiet.url) as anyone:
        assert anyone.get("/", headers={"accept": "text/html"}).json() == {"name": "AIC Flow", "api": "/api/v1"}
        assert anyone.get("/docs").status_code == 401


@pytest.mark.parametrize("name", ["settings.md"])
def test_every_setting_is_in_the_reference(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    for variable, default, description in settings_table():
        assert f"| `{variable}` | {default} | {description} |" in page, f"{variable} is missing or differs"


def test_every_call_is_in_the_reference(api: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "reference" / "http-api.md").read_text("utf-8")
    for path, calls in api["paths"].items():
        for method in calls:
            assert f"{method.upper()} {path.removeprefix('/api/v1')}" in page, (method, path)


def test_every_problem_is_in_the_reference_with_its_title() -> None:
    reference = (ROOT / "docs" / "reference" / "http-api.md").read_text("utf-8")
    for code, (status, title) in TITLES.items():
        assert f"| `{code}` | {status} | {title} |\n" in reference


def test_a_405_names_exactly_the_methods_that_are_there(host: Host, api: dict[str, Any]) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LOCK")
    pages: dict[str, Any] = {page: {"get": {}, "head": {}} for page in ("/", "/docs", "/openapi.json")}
    for path, calls in {**api["paths"], **pages}.items():
        url = host.url + re.sub(r"\{version\}", "9", re.sub(r"\{(?!version)\w+\}", "none", path))
        there = {method.upper() for method in calls}
        for method in methods:
            if method in there:
                continue
            answer = host.client.request(method, url)
            # a call's name may also stand where an id would: then there is nothing of that id
            assert answer.status_code == 405 or "{" not in path, (method, path)
            if answer.status_code == 405:
                assert set(answer.headers["allow"].split(", ")) == there, (method, path)
            else:
                assert answer.status_code in (400, 404, 428), (method, path)


def test_the_name_of_a_call_is_no_id_of_a_workflow(host: Host) -> None:
    assert "is the name of a call" in host.client.post("/workflows?id=validate", json=ECHO).json()["detail"]
