"""What is installed: node types and how they are configured, trigger types, plugins, the document's schema."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any

from aicflow_language.suggest import did_you_mean
from fastapi import Request
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.etag import ETAG_HEADER, IF_MATCH, check_match, etag_of_value
from aicflow.host.pages import json_response, list_response
from aicflow.host.problems import Problem
from aicflow.host.routes.common import Id, NoQuery, Paging, body_of, call, problems, router, runtime_of, scoped
from aicflow.host.views import node_type_view, plugin_view, trigger_type_view
from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.registry import RegisteredNode, Registry
from aicflow.kernel.values import dumps, pointer
from aicflow.language.schema import SchemaValidator
from aicflow.language.validation import document_schema

routes = router("catalogue")
_type_id = attrgetter("type_id")


@routes.get("/node-types", summary="List the installed node types", **call("read", "NodeTypePage", limited="open"))
async def list_node_types(request: Request, query: Paging) -> Response:
    """By id, the newest version of each."""
    registry = runtime_of(request).registry
    return list_response(registry.nodes(), _type_id, query, lambda node: node_type_view(node, registry))


@routes.get(
    "/node-types/{type_id}",
    summary="Show a node type",
    **call("read", "NodeType", 404, limited="open", more={200: {"headers": ETAG_HEADER}}),
)
async def get_node_type(request: Request, type_id: Id, query: NoQuery) -> Response:
    """With its schemas, its documentation, and how it is configured, which the ETag names."""
    return _node_type(runtime_of(request).registry, type_id)


def _node_type(registry: Registry, type_id: str) -> Response:
    node = registry.node(type_id)
    return json_response(node_type_view(node, registry), headers={"etag": _setting_tag(node)})


def _setting_tag(node: RegisteredNode) -> str:
    return etag_of_value([node.setting.enabled, node.setting.default_params])


@routes.patch(
    "/node-types/{type_id}",
    summary="Configure a node type",
    openapi_extra={**body_of(requests.PatchNodeType), "parameters": [IF_MATCH]},
    **call("admin", "NodeType", 400, 404, 412, 413, 415, more={200: {"headers": ETAG_HEADER}}),
)
async def configure_node_type(request: Request, type_id: Id, query: NoQuery) -> Response:
    """Switch it off or on, or give it default params, which a node's own params override. Works at once."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PatchNodeType)
    async with runtime.configuring:  # two at once must not undo each other
        await runtime.following.look()
        node = runtime.registry.node(type_id)
        check_match(request, _setting_tag(node))
        params = node.setting.default_params if body.default_params is None else body.default_params
        _check_defaults(type_id, node.cls.params_schema(), params)
        enabled = node.setting.enabled if body.enabled is None else body.enabled
        setting = NodeSetting(type_id, enabled, params)
        await runtime.store.node_settings.put(setting)
        runtime.registry.configure(setting)
    runtime.following.tell("node-types", type_id)
    return _node_type(runtime.registry, type_id)


def _check_defaults(type_id: str, schema: dict[str, Any], params: dict[str, Any]) -> None:
    """Raise Problem for default params that the type does not have or whose values cannot fit. Values with references
    are known only when a step runs."""
    known = schema.get("properties", {})
    errors: list[dict[str, Any]] = []
    for name, value in params.items():
        place = pointer("default_params", name)
        if name not in known:
            hint = did_you_mean(name, known) or f"Its params are {', '.join(known) or 'none'}."
            message = f"{type_id} has no param {name!r}"
            errors.append({"code": "param.unknown", "pointer": place, "in": "body", "message": message, "hint": hint})
        elif b"${{" not in dumps(value):
            part = {"$defs": schema.get("$defs", {}), "allOf": [known[name]]}
            errors.extend(
                {"code": "param.type", "pointer": place + found.pointer, "in": "body", "message": found.message}
                for found in SchemaValidator(part).validate(value, limit=5)
            )
    if errors:
        raise Problem("request-invalid", f"{errors[0]['pointer']}: {errors[0]['message']}.", errors=errors)


@routes.get(
    "/trigger-types", summary="List the installed trigger types", **call("read", "TriggerTypePage", limited="open")
)
async def list_trigger_types(request: Request, query: Paging) -> Response:
    """By id, the newest version of each."""
    return list_response(runtime_of(request).registry.triggers(), _type_id, query, trigger_type_view)


@routes.get(
    "/trigger-types/{type_id}", summary="Show a trigger type", **call("read", "TriggerType", 404, limited="open")
)
async def get_trigger_type(request: Request, type_id: Id, query: NoQuery) -> Response:
    """With its schemas and its documentation."""
    return json_response(trigger_type_view(runtime_of(request).registry.trigger(type_id)))


@routes.get("/plugins", summary="List the installed plugins", **call("read", "PluginPage", limited="open"))
async def list_plugins(request: Request, query: Paging) -> Response:
    """Those that failed, are blocked or refused too, with the reason; and where each comes from."""
    plugins = runtime_of(request).plugins
    await asyncio.to_thread(plugins.inspect)
    return list_response(plugins.infos, attrgetter("name"), query, plugin_view)


@routes.get("/plugins/{name}", summary="Show a plugin", **call("read", "Plugin", 404, limited="open"))
async def get_plugin(request: Request, name: Id, query: NoQuery) -> Response:
    """What it brought, where it comes from, and its problems."""
    plugins = runtime_of(request).plugins
    await asyncio.to_thread(plugins.inspect)
    infos = plugins.infos
    for info in infos:
        if info.name == name:
            return json_response(plugin_view(info))
    raise NotFound("plugin", name, hint=did_you_mean(name, [info.name for info in infos]))


@routes.get(
    "/schema/workflow",
    summary="The JSON Schema of the workflow document",
    responses={200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}}, **problems()},
    dependencies=scoped("read", "open"),
)
async def get_workflow_schema(request: Request, query: NoQuery) -> Response:
    """With the params of every installed node and trigger type, so that editors complete and check them."""
    response = json_response(document_schema(runtime_of(request).registry))
    response.headers["content-type"] = "application/schema+json"
    return response
