"""A network on a bad day: a TCP proxy in front of a PostgreSQL server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_ENDS = (b"COMMIT\0", b"ROLLBACK\0")


class Proxy:
    """Passes on what clients and server say, as long as it is not told otherwise."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._target = (there.hostname or "127.0.0.1", there.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        host = f"{there.username}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit((there.scheme, host, there.path, there.query, ""))
        self.delay = 0.0
        """Seconds that everything is late."""
        self.silent = False
        """Whether connections stay open and nothing passes: what is said meanwhile is lost."""
        self.drop_answers = 0
        """How many of the next commits are done and not answered, because their connection ends."""
        self.dropped = 0
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._half_open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """End all connections; returns how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _end(*pair)
        return len(pairs)

    def half_open(self) -> int:
        """End all connections for the server only: what clients go on saying is lost, and nobody tells them."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
            self._half_open |= {client for client, _ in pairs}
        for _, server in pairs:
            _end(server)
        return len(pairs)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        with self._lock:
            left, self._half_open = self._half_open, set()
        _end(*left)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs.add((client, server))
                drop = threading.Event()
                for pump in (self._from_client, self._from_server):
                    threading.Thread(target=pump, args=(client, server, drop), daemon=True).start()

    def _from_client(self, client: socket.socket, server: socket.socket, drop: threading.Event) -> None:
        for data in self._read(client):
            if b"COMMIT" in data:
                with self._lock:
                    if self.drop_answers:
                        self.drop_answers -= 1
                        drop.set()
            with suppress(OSError):
                server.sendall(data)
        _end(client, server)

    def _from_server(self, client: socket.socket, server: socket.socket, drop: threading.Event) -> None:
        for data in self._read(server):
            if not drop.is_set():
                with suppress(OSError):
                    client.sendall(data)
            elif any(end in data for end in _ENDS):
                self.dropped += 1
                break
        if client not in self._half_open:
            _end(client, server)

    def _read(self, end: socket.socket) -> Iterator[bytes]:
        with suppress(OSError):
            while data := end.recv(65_536):
                if self.delay:
                    time.sleep(self.delay)
                if not self.silent:
                    yield data


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy for the time of the block; `url` without one is that of the server."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
