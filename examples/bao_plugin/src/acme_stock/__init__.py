"""The node type acme.stock: asks Acme's stock service. Where it is, the operator says in ACME_STOCK_URL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import httpx2
from aicflow import Context, Node, Output, Params, PermanentError, TransientError, hookimpl
from pydantic import Field

__all__ = ["Stock", "StockOutput", "StockParams", "aicflow_nodes"]


class StockParams(Params):
    """Which article, and how many somebody wants."""

    sku: str = Field(min_length=1, pattern=r"^[A-Z0-9-]+$", description="Acme's article number")
    wanted: int = Field(default=1, ge=1)


class StockOutput(Output):
    """How many are left, and whether that is enough."""

    sku: str
    left: int
    enough: bool


class Stock(Node[StockParams, StockOutput]):
    """Ask how many of an article are left.

    An unknown article is a permanent error; a service that does not answer is tried again by the node's
    `retry`.
    """

    type_id = "acme.stock"
    title = "Acme stock"
    category = "acme"
    pure = True

    async def start(self) -> None:
        """One client for all executions."""
        self._client = httpx2.AsyncClient(timeout=5)

    async def stop(self) -> None:
        """Close it."""
        await self._client.aclose()

    async def run(self, ctx: Context, params: StockParams) -> StockOutput:
        """Ask. Raises PermanentError, TransientError."""
        url = os.environ.get("ACME_STOCK_URL")
        if not url:
            raise PermanentError(
                "The address of the stock service is not set.", hint="Set ACME_STOCK_URL for the server."
            )
        try:
            answer = await self._client.get(f"{url}/stock/{params.sku}")
        except httpx2.TransportError as error:
            raise TransientError(f"The stock service does not answer: {error}.", code="acme-unreachable") from error
        if answer.status_code == 404:
            raise PermanentError(f"Acme has no article {params.sku}.", code="acme-unknown-article", pointer="/sku")
        if answer.status_code >= 500:
            raise TransientError(f"The stock service answered {answer.status_code}.", code="acme-failed")
        left = int(answer.json()["left"])
        ctx.log("asked the stock service", sku=params.sku, left=left)
        return StockOutput(sku=params.sku, left=left, enough=left >= params.wanted)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node types of this package."""
    return [Stock]
