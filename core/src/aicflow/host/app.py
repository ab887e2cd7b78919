"""`create_app`: the FastAPI app of one host. Nothing is made when this module is imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from aicflow import __version__
from aicflow.engine.options import EngineOptions
from aicflow.host.docs_page import console, docs_routes, root
from aicflow.host.gate import Access, Gate, require
from aicflow.host.plugins import Plugins
from aicflow.host.problems import handlers
from aicflow.host.reach import refuse_limited
from aicflow.host.routes import (
    audit,
    catalogue,
    doctor,
    events,
    executions,
    files,
    health,
    keys,
    layout,
    preview,
    secrets,
    state,
    statistics,
    steps,
    streams,
    subjects,
    tickets,
    triggers,
    workers,
    workflows,
)
from aicflow.host.runtime import HostRuntime, running
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.store import Store
from aicflow.kernel.records import Mount as PluginMount
from aicflow.rates import KeepsRates, RateStore


def create_app(
    settings: Settings | None = None,
    *,
    plugins: Plugins | None = None,
    store: Store | None = None,
    options: EngineOptions | None = None,
    clock: Clock | None = None,
    observers: Sequence[Any] = (),
    rates: RateStore | None = None,
) -> FastAPI:
    """The app. Its lifespan opens the store, starts the worker and activates triggers; `app.state.runtime` is then the
    `HostRuntime`. What is not given is made from the settings, which are read from the environment when not given."""
    settings = settings or Settings()
    access = Access()
    app = FastAPI(
        title="AIC Flow",
        version=__version__,
        summary="Developer-first workflow automation",
        lifespan=_lifespan,
        exception_handlers=handlers(),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.start_error = None
    app.state.rates = rates
    app.state.run = lambda: running(
        settings,
        plugins or installed_plugins(settings.blocked_plugins, policy=settings.plugin_policy),
        store=store,
        options=options,
        clock=clock,
        observers=observers,
    )
    app.state.access = access
    access.exact.update(health.PATHS)

    app.router.routes.append(executions.start_route)  # first: the call that must be quick
    app.router.routes.extend(streams.sockets())
    for module in (
        workflows,
        layout,
        preview,
        streams,
        executions,
        statistics,
        workers,
        steps,
        catalogue,
        triggers,
        doctor,
        events,
        state,
        files,
        secrets,
        keys,
        audit,
        subjects,
        tickets,
        health,
    ):
        app.include_router(module.routes)
    app.openapi = partial(_document, app)  # type: ignore[method-assign]
    pages = [root(docs=settings.docs), console(), *(docs_routes(app.openapi) if settings.docs else ())]
    app.router.routes.extend(pages)
    access.exact.update(page.path for page in pages)

    app.add_middleware(Gate, settings=settings, access=access)
    if settings.cors_origins:
        app.add_middleware(
            _ApiCors,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "x-api-key", "content-type", "if-match", "idempotency-key", "prefer"],
            expose_headers=[
                *("etag", "location", "x-request-id", "idempotent-replayed"),
                *("retry-after", "ratelimit", "ratelimit-policy"),
            ],
        )
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    from aicflow.host.openapi import document  # with models of all responses, which take a while to make

    return document(app)


class _ApiCors(CORSMiddleware):
    """What the operator allows pages of other origins; apps that plugins mount as public say that for themselves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mounted = scope["type"] == "http" and scope["app"].state.access.is_mounted(scope["path"])
        await (self.app if mounted else super().__call__)(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            runtime: HostRuntime = await stack.enter_async_context(app.state.run())
        except AICFlowError as error:
            app.state.start_error = error  # the process that runs the app can print it without a traceback
            raise
        app.state.runtime = runtime
        if app.state.rates is None and isinstance(runtime.store, KeepsRates):
            from aicflow.host.shared_rates import SharedRates

            app.state.rates = shared = SharedRates(runtime.store.rates)
            shared.open()
            stack.callback(setattr, app.state, "rates", None)
            stack.push_async_callback(shared.close)
        for mount in runtime.mounts():
            stack.callback(_mount(app, mount))
        app.state.callers, app.state.auditor = runtime.callers, runtime.auditor
        stack.callback(setattr, app.state, "auditor", None)
        stack.callback(setattr, app.state, "callers", None)
        yield


def _mount(app: FastAPI, mount: PluginMount) -> Callable[[], None]:
    """Add a plugin's app; returns what removes it again."""
    route = Mount(mount.path, app=mount.app if mount.public else _guarded(mount))
    public: list[str] = app.state.access.prefixes
    # in front, where it is found at once, unless it would hide a route of ours
    own = (getattr(one, "path", "/api") for one in app.router.routes)
    hides = any(path.startswith(mount.path.rstrip("/")) for path in own)
    app.router.routes.insert(len(app.router.routes) if hides else 0, route)
    if mount.public:
        public.append(mount.path.rstrip("/"))

    def remove() -> None:
        app.router.routes.remove(route)
        if mount.public:
            public.remove(mount.path.rstrip("/"))

    return remove


def _guarded(mount: PluginMount) -> ASGIApp:
    """The app, for callers whose key has the mount's scope."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        refuse_limited(require(scope, mount.scope))  # what the app shows may be of any workflow
        await mount.app(scope, receive, send)

    return app
