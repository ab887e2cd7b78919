"""The two clients. They differ only in the runner that they hand to their resources."""

from __future__ import annotations

import os
import ssl
from types import TracebackType
from typing import Self

import httpx2

from aicflow_sdk.calls import catalogue
from aicflow_sdk.config import find_address
from aicflow_sdk.operation import Operation, Resource
from aicflow_sdk.programs import Toolbox
from aicflow_sdk.resources import ApiKeys, Executions, NodeTypes, Plugins, Triggers, TriggerTypes, Workflows
from aicflow_sdk.retry import Retry
from aicflow_sdk.runners import AsyncRunner, Runner
from aicflow_sdk.wire import Wire

__all__ = ["AICFlow", "AsyncAICFlow"]


class _Client[R: Runner | AsyncRunner](Resource[R]):
    """What both clients have."""

    def __init__(self, runner: R) -> None:
        super().__init__(runner)
        self.workflows: Workflows[R] = Workflows(runner)
        self.executions: Executions[R] = Executions(runner)
        self.node_types: NodeTypes[R] = NodeTypes(runner)
        self.trigger_types: TriggerTypes[R] = TriggerTypes(runner)
        self.plugins: Plugins[R] = Plugins(runner)
        self.triggers: Triggers[R] = Triggers(runner)
        self.api_keys: ApiKeys[R] = ApiKeys(runner)

    ready = Operation(catalogue.ready)
    schema = Operation(catalogue.schema)

    @property
    def url(self) -> str:
        """Where the server answers."""
        return self._runner.wire.address.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


class AICFlow(_Client[Runner]):
    """A client that blocks. Safe to share between threads; close it, or use it as a context manager.

    Without arguments it finds the server and key of this machine (see `find_address`). `timeout` is the seconds given
    to a reply, `connect_timeout` to connecting. `retry` says how often calls are sent again. `ssl_context` is used for
    requests and streams alike. `http_client` is an httpx2.Client of your own, which stays open when this one closes.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        retry: Retry | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http_client: httpx2.Client | None = None,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        wire = Wire(find_address(url, api_key, data_dir=data_dir), timeout, connect_timeout, ssl_context)
        self._own = http_client is None
        super().__init__(Runner(wire, http_client or httpx2.Client(**wire.client_options()), _tools(retry)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        if self._own:
            self._runner.http.close()


class AsyncAICFlow(_Client[AsyncRunner]):
    """A client for asyncio, with the same methods to await. Close it, or use it with `async with`.

    The arguments are those of AICFlow; `http_client` is an httpx2.AsyncClient.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        retry: Retry | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http_client: httpx2.AsyncClient | None = None,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        wire = Wire(find_address(url, api_key, data_dir=data_dir), timeout, connect_timeout, ssl_context)
        self._own = http_client is None
        super().__init__(AsyncRunner(wire, http_client or httpx2.AsyncClient(**wire.client_options()), _tools(retry)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        if self._own:
            await self._runner.http.aclose()


def _tools(retry: Retry | None) -> Toolbox:
    return Toolbox() if retry is None else Toolbox(retry=retry, reconnect=retry)
