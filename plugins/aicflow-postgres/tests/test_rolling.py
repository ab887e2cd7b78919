"""Two servers and two workers are restarted one after the other while clients work, and none of them notices."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from aicflow_sdk import AICFlow
from site_kit import ADDS, SOON, Server, Site, until

_CLIENTS = 4
_ROUNDS = int(os.environ.get("AICFLOW_TEST_ROLLING_ROUNDS", "1"))


class _Balancer:
    """A proxy in front of servers: a connection goes to the next one that takes it."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        turn = 0
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                turn += 1
                threading.Thread(target=self._pair, args=(client, turn), daemon=True).start()

    def _pair(self, client: socket.socket, turn: int) -> None:
        with client:
            for i in range(len(self.ports)):
                with suppress(OSError):
                    server = socket.create_connection(("127.0.0.1", self.ports[(turn + i) % len(self.ports)]))
                    with server:
                        back = threading.Thread(target=_pass_on, args=(client, server), daemon=True)
                        back.start()
                        _pass_on(server, client)
                        back.join()
                    return


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_a_rolling_restart_loses_nothing_and_fails_no_request(site: Site, tmp_path: Path) -> None:
    ports = [_free_port(), _free_port()]

    def serve(port: int) -> Server:
        return site.server("--no-worker", "--port", str(port))

    servers = [serve(port) for port in ports]
    workers = [site.worker(), site.worker()]
    assert servers[0].save("adds", ADDS).status_code == 201
    balancer = _Balancer(ports)
    key = (tmp_path / "host1" / "admin.key").read_text().strip()
    stop = threading.Event()
    ended: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with AICFlow(balancer.url, key) as client:
                while not stop.is_set():
                    done = client.executions.run("adds", timeout=SOON)
                    assert done.status == "succeeded"
                    ended.append(done.id)
        except BaseException as error:
            failed.append(error)

    clients = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: len(ended) >= _CLIENTS or failed)
    for _ in range(_ROUNDS):
        for place in range(2):
            workers[place].send_signal(signal.SIGTERM)
            assert workers[place].wait(SOON) == 0
            workers[place] = site.worker()
            servers[place].process.send_signal(signal.SIGTERM)
            assert servers[place].process.wait(SOON) == 0
            servers[place] = serve(ports[place])
            time.sleep(1)  # so that each takes its share before the other goes
    before = len(ended)
    until(lambda: len(ended) >= before + _CLIENTS or failed)
    stop.set()
    for client in clients:
        client.join(SOON)
    balancer.close()
    assert failed == []
    # each has counted once, those that nobody waited for too: none was started twice
    assert len(set(ended)) == len(ended)
    count = servers[0].client.get("/api/v1/workflows/adds/state/n").json()["value"]
    assert count == len(ended)
    with AICFlow(str(servers[1].client.base_url), key) as client:
        assert sum(1 for _ in client.executions.list(workflow_id="adds")) == len(ended)
