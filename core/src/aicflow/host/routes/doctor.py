"""What is wrong with this installation, as the server sees it."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import Request
from starlette.responses import Response

from aicflow.host.doctor import of_server
from aicflow.host.pages import json_response
from aicflow.host.routes.common import NoQuery, call, router, runtime_of

routes = router("health")


@routes.get("/doctor", summary="Check the installation", **call("admin", "DoctorReport"))
async def check_installation(request: Request, query: NoQuery) -> Response:
    """Settings, data folder, files, store, engine, plugins, secrets and node types, as `aicflow doctor` says it. It
    reads every file of the plugins, so it takes seconds."""
    findings = await of_server(runtime_of(request))
    ok = all(finding.state != "problem" for finding in findings)
    return json_response({"ok": ok, "findings": [asdict(finding) for finding in findings]})
