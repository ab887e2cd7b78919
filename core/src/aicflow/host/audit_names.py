"""What an audit entry calls a request: its action, its target, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aicflow.host.addresses import ADDRESS

NOT_YOURS: Final = "aicflow.not_yours"
"""Set in a request's scope where it is answered with 404 because the caller may not know of the thing."""

DRY_RUN: Final = "aicflow.dry_run"
"""Set in a request's scope that asked what would be done."""

_PREFIX: Final = "/api/v1/"


def action_of(scope: Mapping[str, Any]) -> str:
    """The operation of the API, as its document and the SDK name it; for other paths method and first segment."""
    name = getattr(scope.get("route"), "unique_id", None)
    if name is not None:
        return str(name)
    return f"{scope.get('method', 'GET')} {resource(scope['path'])}"


def resource(path: str) -> str:
    """What kind of thing a path is about, without anything that a caller makes up."""
    parts = path.removeprefix(_PREFIX).strip("/").split("/")
    return parts[0][:40] if parts[0].replace("-", "").isalpha() else "other"


def target_of(scope: Mapping[str, Any]) -> str:
    """The thing that a request is about, such as `workflows/wf_1`: its path up to the last name in it."""
    parts = scope["path"].removeprefix(_PREFIX).strip("/").split("/")
    template = getattr(scope.get("route"), "path", "").removeprefix(_PREFIX).strip("/").split("/")
    names = [at for at, part in enumerate(template, 1) if part.startswith("{")]
    if not names:
        return resource(scope["path"]) if len(template) != len(parts) else "/".join(parts[:1])[:40]
    return "/".join(parts[: names[-1]])[:300]


def is_reading(scope: Mapping[str, Any]) -> bool:
    """Whether the route needs no more than `read`: a POST that only asks, such as validation."""
    route = scope.get("route")
    scopes = [getattr(one.dependency, "aicflow_scope", None) for one in getattr(route, "dependencies", ())]
    return scopes == ["read"]


def address_of(scope: Mapping[str, Any]) -> str:
    """Where a request came from."""
    return str(scope.get(ADDRESS) or "")
