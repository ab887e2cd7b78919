"""Bare apps to compare with: a route that commits one row, and a WebSocket that sends what is ready."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

EVENTS = 4_000
FRAME = 50


def commit(folder: Path) -> Starlette:
    """`POST /` reads a JSON body and answers once a row with it is durable, each in a transaction of its own."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    lock = asyncio.Lock()

    def write(body: str) -> int:
        return int(db.execute("INSERT INTO rows (body) VALUES (?)", (body,)).lastrowid or 0)

    async def accept(request: Request) -> JSONResponse:
        body = await request.json()
        async with lock:
            number = await asyncio.get_running_loop().run_in_executor(None, write, json.dumps(body))
        return JSONResponse({"id": number}, 202)

    return Starlette(routes=[Route("/", accept, methods=["POST"])])


def stream(folder: Path) -> Starlette:
    """A WebSocket that sends the same lines to everyone, made beforehand."""
    event = json.dumps(
        {
            "seq": 1000,
            "time": "2026-11-23T06:27:23.000120Z",
            "type": "step.log",
            "execution_id": "ex_01m83p1fztzhget157evhymw1j",
            "node_id": "l",
            "attempt": 1,
            "data": {"level": "info", "message": "line 1000 of a log that somebody watches"},
        },
        separators=(",", ":"),
    )
    frame = "\n".join([event] * FRAME)

    async def send(socket: WebSocket) -> None:
        await socket.accept("aicflow.v1")
        await socket.receive_text()
        for _ in range(EVENTS // FRAME):
            await socket.send_text(frame)
        await socket.close()

    return Starlette(routes=[WebSocketRoute("/", send)])


def main() -> None:
    """Serve one of them on a free port and print its address."""
    app: Any = {"commit": commit, "stream": stream}[sys.argv[1]](Path(sys.argv[2]))

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            print(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}", flush=True)

    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    Server(
        uvicorn.Config(
            app,
            port=0,
            log_level="error",
            http="httptools",
            ws="websockets-sansio",
            loop=loop,
            ws_per_message_deflate=False,
        )
    ).run()


if __name__ == "__main__":
    main()
