"""The two clients. They differ in their transport, and in whether methods are awaited."""

from __future__ import annotations

import os
import ssl
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from aicflow_sdk.blocking import (
    ApiKeys,
    Audit,
    Events,
    Executions,
    Files,
    Host,
    NodeTypes,
    Plugins,
    Secrets,
    State,
    Subjects,
    Triggers,
    TriggerTypes,
    Workers,
    Workflows,
)
from aicflow_sdk.config import find_address
from aicflow_sdk.resources.audit import AsyncAudit
from aicflow_sdk.resources.events import AsyncEvents
from aicflow_sdk.resources.executions import AsyncExecutions
from aicflow_sdk.resources.files import AsyncFiles
from aicflow_sdk.resources.installed import AsyncApiKeys, AsyncHost, AsyncNodeTypes, AsyncPlugins, AsyncTriggerTypes
from aicflow_sdk.resources.secrets import AsyncSecrets
from aicflow_sdk.resources.state import AsyncState
from aicflow_sdk.resources.subjects import AsyncSubjects
from aicflow_sdk.resources.triggers import AsyncTriggers
from aicflow_sdk.resources.workers import AsyncWorkers
from aicflow_sdk.resources.workflows import AsyncWorkflows
from aicflow_sdk.retry import Retry
from aicflow_sdk.session import Session, Transport

if TYPE_CHECKING:
    import httpx2

    from aicflow_sdk.transport import AsyncTransport, BlockingTransport, Wire


class _Client[H: httpx2.Client | httpx2.AsyncClient, T: Transport](ABC):
    """What both clients have."""

    session_type: ClassVar[type[Session]] = Session

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        retry: Retry | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http_client: H | None = None,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        from aicflow_sdk.transport import Wire  # the HTTP and WebSocket clients are loaded with the first client

        wire = Wire(find_address(url, api_key, data_dir=data_dir), timeout, connect_timeout, ssl_context)
        self._address = wire.address
        self._transport = self._connect(wire, http_client)
        more = () if retry is None else (retry, retry)
        self._session = self.session_type(self._transport, *more)
        self._attach(self._session)

    @abstractmethod
    def _connect(self, wire: Wire, http_client: H | None) -> T: ...

    @abstractmethod
    def _attach(self, session: Session) -> None: ...

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._address.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


class AICFlow(_Client["httpx2.Client", "BlockingTransport"], Host):
    """A client that blocks. Safe to share between threads; close it, or use it as a context manager.

    Without arguments it finds the server and key of this machine (see `find_address`). `timeout` is the seconds that a
    reply may take, `connect_timeout` those for connecting. `retry` says how often requests are sent again.
    `ssl_context` is used for requests and streams alike. `http_client` is an httpx2.Client of your own, which stays
    open when this one closes. Raises ConfigurationError.
    """

    def _connect(self, wire: Wire, http_client: httpx2.Client | None) -> BlockingTransport:
        from aicflow_sdk.transport import BlockingTransport

        return BlockingTransport(wire, http_client)

    def _attach(self, session: Session) -> None:
        self._async = AsyncHost(session)
        self.workflows = Workflows(AsyncWorkflows(session))
        self.executions = Executions(AsyncExecutions(session))
        self.workers = Workers(AsyncWorkers(session))
        self.node_types = NodeTypes(AsyncNodeTypes(session))
        self.trigger_types = TriggerTypes(AsyncTriggerTypes(session))
        self.plugins = Plugins(AsyncPlugins(session))
        self.triggers = Triggers(AsyncTriggers(session))
        self.events = Events(AsyncEvents(session))
        self.api_keys = ApiKeys(AsyncApiKeys(session))
        self.state = State(AsyncState(session))
        self.files = Files(AsyncFiles(session))
        self.audit = Audit(AsyncAudit(session))
        self.secrets = Secrets(AsyncSecrets(session))
        self.subjects = Subjects(AsyncSubjects(session))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()


class AsyncAICFlow(_Client["httpx2.AsyncClient", "AsyncTransport"], AsyncHost):
    """A client for asyncio, with the same methods to await. Close it, or use it with `async with`.

    The arguments are those of AICFlow; `http_client` is an httpx2.AsyncClient.
    """

    def _connect(self, wire: Wire, http_client: httpx2.AsyncClient | None) -> AsyncTransport:
        from aicflow_sdk.transport import AsyncTransport

        return AsyncTransport(wire, http_client)

    def _attach(self, session: Session) -> None:
        self.workflows = AsyncWorkflows(session)
        self.executions = AsyncExecutions(session)
        self.workers = AsyncWorkers(session)
        self.node_types = AsyncNodeTypes(session)
        self.trigger_types = AsyncTriggerTypes(session)
        self.plugins = AsyncPlugins(session)
        self.triggers = AsyncTriggers(session)
        self.events = AsyncEvents(session)
        self.api_keys = AsyncApiKeys(session)
        self.state = AsyncState(session)
        self.files = AsyncFiles(session)
        self.audit = AsyncAudit(session)
        self.secrets = AsyncSecrets(session)
        self.subjects = AsyncSubjects(session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._transport.aclose()
