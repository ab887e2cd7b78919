"""Calls on triggers and what arrived for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aicflow_sdk.call import Call, Listing, encode_json, keyed, model, path, query
from aicflow_sdk.decode import decode
from aicflow_sdk.models import Delivery, Execution, Trigger
from aicflow_sdk.replies import Reply

__all__ = ["deliveries", "delivery", "fire", "get", "list_", "next_fires", "pause", "replay", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fires:
    data: tuple[Mapping[str, Any], ...]


def list_(*, workflow_id: str | None = None, limit: int | None = None) -> Listing[Trigger]:
    """The triggers of enabled workflows; those that cannot fire too, with the reason."""
    return Listing(path=path("triggers") + query(workflow_id=workflow_id), item=Trigger, limit=limit)


def get(trigger_id: str) -> Call[Trigger]:
    """One trigger, by `workflow_id:trigger_id`. Raises NotFound."""
    return Call(method="GET", path=path("triggers", trigger_id), parse=model(Trigger), repeatable=True)


def pause(trigger_id: str) -> Call[Trigger]:
    """Let it fire no more until it is resumed; kept over restarts and new versions."""
    return Call(method="POST", path=path("triggers", trigger_id, "pause"), parse=model(Trigger), repeatable=True)


def resume(trigger_id: str) -> Call[Trigger]:
    """Let a paused trigger go on."""
    return Call(method="POST", path=path("triggers", trigger_id, "resume"), parse=model(Trigger), repeatable=True)


def fire(trigger_id: str, payload: Any = None, *, idempotency_key: str | None = None) -> Call[Execution]:
    """Fire it now with this payload, also when it is paused."""
    return Call(
        method="POST",
        path=path("triggers", trigger_id, "fire"),
        body=encode_json({"payload": payload}),
        headers=keyed(idempotency_key),
        parse=model(Execution),
        repeatable=True,
    )


def next_fires(trigger_id: str, *, count: int = 5) -> Call[tuple[Mapping[str, Any], ...]]:
    """When it will fire next, as its type tells it. Raises Conflict for triggers that do not fire by the clock."""

    def parse(reply: Reply) -> tuple[Mapping[str, Any], ...]:
        return decode(_Fires, reply.json()).data

    return Call(
        method="GET", path=path("triggers", trigger_id, "next") + query(count=count), parse=parse, repeatable=True
    )


def deliveries(trigger_id: str, *, limit: int | None = None) -> Listing[Delivery]:
    """What arrived for it, newest first, without the payloads."""
    return Listing(path=path("triggers", trigger_id, "deliveries"), item=Delivery, limit=limit)


def delivery(trigger_id: str, delivery_id: str) -> Call[Delivery]:
    """Something that arrived, with its payload. Raises NotFound."""
    return Call(
        method="GET",
        path=path("triggers", trigger_id, "deliveries", delivery_id),
        parse=model(Delivery),
        repeatable=True,
    )


def replay(trigger_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Call[Execution]:
    """Start an execution of today's version with a payload that arrived before."""
    return Call(
        method="POST",
        path=path("triggers", trigger_id, "deliveries", delivery_id, "replay"),
        headers=keyed(idempotency_key),
        parse=model(Execution),
        repeatable=True,
    )
