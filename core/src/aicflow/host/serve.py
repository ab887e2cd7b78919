"""Running the host: uvicorn, set up for many executions, with a clean end."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from aicflow.host.addresses import Proxies
from aicflow.host.app import create_app
from aicflow.host.connections import BoundedHttpProtocol, ConnectionLimits, sweep
from aicflow.host.docs_page import CONSOLE
from aicflow.host.logs import set_up_logging
from aicflow.host.processes import Child, Parent
from aicflow.host.settings import Settings
from aicflow.kernel.errors import AICFlowError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from aicflow.host.runtime import HostRuntime

type Say = Callable[[str], None]

_log = logging.getLogger("aicflow.host")
_BACKLOG: Final = 2048


class HostServer(uvicorn.Server):
    """uvicorn that says where it listens, freezes what start-up left, and lets streams go before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: Settings, say: Say) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._data = settings.data
        self._say = say
        self.url: str | None = None
        self.owns_process = False
        self.child: Child | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening; then nothing that start-up made will ever be garbage, so the collector need not look."""
        await super().startup(sockets)
        if self.should_exit:
            return
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        self.url = f"http://{_shown_host(self._settings.host)}:{self._port()}"
        if self.child is None:
            self._data.announce(self.url)
        if self.child is None or self.child.is_first:
            await self._greet()
        if self.child is not None:
            self.child.tell_ready()
        self._app.state.runtime.warm_up.begin()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's clock, ten times a second; once a second, clients that are too slow are cut off."""
        if counter % 10 == 0:
            sweep(self.server_state.connections, asyncio.get_running_loop().time())
            if self.child is not None and self.child.is_orphan():
                self.should_exit = True
        return await super().on_tick(counter)

    def _port(self) -> int:
        """The real port, also when a free one was asked for."""
        for server in self.servers:
            for one in server.sockets:
                return int(one.getsockname()[1])
        return self._settings.port

    async def _greet(self) -> None:
        runtime: HostRuntime = self._app.state.runtime
        self._say(f"AIC Flow listens on {self.url}")
        if self._app.state.access.is_mounted(CONSOLE):
            key = self._data.admin_key()
            caller = await runtime.keys.caller(key) if key is not None else None
            ticket = None if caller is None else (await runtime.callers.new_ticket(caller, "session"))[0]
            self._say(f"Console: {console_link(self.url or '', ticket)}")
            if ticket is not None:
                self._say("The link signs one browser in, once, within 10 minutes; `aicflow open` makes another.")
        if self._settings.docs:
            self._say(f"API documentation: {self.url}/docs")
        if runtime.new_admin_key is not None:
            self._say(f"Admin key, shown this once: {runtime.new_admin_key}")
            self._say(f"It is kept in {self._data.admin_key_file}, readable by this user only.")
        for info in runtime.plugins.infos:
            for code, message in info.problems:
                if code == "advice":  # for authors, in the list of plugins
                    continue
                self._say(f"Plugin {info.name} is {info.status}: {code}: {message}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell open streams to end, then wait for requests under way."""
        if self.child is None:
            with suppress(OSError):
                self._data.withdraw()
        runtime: HostRuntime | None = getattr(self._app.state, "runtime", None)
        if runtime is not None:
            runtime.closing.set()
        await super().shutdown(sockets)
        self._captured_signals.clear()  # the end was clean; uvicorn would raise the signal again and die of it
        if self.owns_process and runtime is not None and (unresponsive := runtime.executions.worker.abandoned):
            # everything is written and handed back; the event loop would never stop waiting for these nodes
            _log.warning("%d nodes did not stop; they end with the process", unresponsive)
            sys.stdout.flush()
            logging.shutdown()
            os._exit(0)


def console_link(url: str, ticket: str | None, page: str = "") -> str:
    """The address of a page of the console, with a ticket behind the `#`, which browsers send to nobody."""
    return f"{url}{CONSOLE}/{page}" + (f"#ticket={ticket}" if ticket else "")


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def make_server(
    settings: Settings,
    *,
    say: Say,
    app: FastAPI | None = None,
    limits: ConnectionLimits | None = None,
    **uvicorn_options: Any,
) -> HostServer:
    """The server, not yet running."""
    app = app or create_app(settings)
    limits = limits or ConnectionLimits(
        connections=settings.max_connections,
        per_address=settings.max_connections_per_address,
        proxies=Proxies(settings.proxies),
    )
    config = uvicorn.Config(
        app,
        **{
            "host": settings.host,
            "port": settings.port,
            "http": partial(BoundedHttpProtocol, limits=limits),
            "timeout_keep_alive": round(limits.idle),
            "ws": "websockets-sansio",
            "loop": "uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
            "lifespan": "on",
            "access_log": False,
            "server_header": False,
            "proxy_headers": False,
            "log_config": None,
            "ws_max_size": 64 * 1024,  # streams take no messages
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": max(1, round(settings.grace)),
            **uvicorn_options,
        },
    )
    return HostServer(config, app, settings, say)


def serve(settings: Settings, *, say: Say) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. Raises AICFlowError when it cannot start."""
    set_up_host_logging(settings)
    os.umask(0o077)  # what plugins write is the owner's as well
    settings.data.prepare()
    listener = _listener(settings)
    child: Child | None = None
    if settings.processes > 1:
        listener.listen(_BACKLOG)
        found = _processes(settings, listener, say)
        if isinstance(found, int):
            return found
        child = found
    else:
        listener.close()  # uvicorn binds it again; it would only log why it cannot, and exit
    app = create_app(settings)
    logging.getLogger("uvicorn.error").addFilter(lambda record: app.state.start_error is None)
    server = make_server(settings, say=say, app=app)
    server.owns_process = True
    server.child = child
    with suppress(SystemExit):  # uvicorn exits by itself when it cannot start
        server.run([listener] if child is not None else None)
    if app.state.start_error is not None:
        raise app.state.start_error
    return 0 if server.started else 1


def _processes(settings: Settings, listener: socket.socket, say: Say) -> Child | int:
    """The exit code of the parent, or in each of its processes what that one is to know."""
    url = f"http://{_shown_host(settings.host)}:{listener.getsockname()[1]}"
    parent = os.getpid()
    try:
        return Parent(
            settings.processes, settings.grace + settings.teardown + 10, lambda: settings.data.announce(url), say
        ).run()
    finally:
        if os.getpid() == parent:
            with suppress(OSError):
                settings.data.withdraw()


def _listener(settings: Settings) -> socket.socket:
    """A socket bound to the address. Raises AICFlowError."""
    listener: socket.socket | None = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise AICFlowError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}.",
            hint="Choose another with --port or AICFLOW_PORT; 0 takes a free one.",
        ) from error
    return listener


def set_up_host_logging(settings: Settings) -> None:
    """The log of a process that is a host."""
    set_up_logging(settings.log_level, "%(asctime)s %(levelname)s %(name)s: %(message)s")
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.setLevel(logging.WARNING)
    uvicorn_log.addFilter(_no_refused_handshake)


def _no_refused_handshake(record: logging.LogRecord) -> bool:
    # uvicorn takes each WebSocket that was answered with a problem for a mistake of ours
    return record.msg != "ASGI callable returned without completing handshake."
