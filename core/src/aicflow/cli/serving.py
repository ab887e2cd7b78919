"""`aicflow serve` and `aicflow worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def serve_command(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on; 0 takes a free one")] = None,
    data_dir: Annotated[Path | None, Parameter(help="Folder of the database and the keys")] = None,
    store: Annotated[str | None, Parameter(help="Store URL, such as memory://")] = None,
    engine: Annotated[str | None, Parameter(help="Engine for workflows that name none")] = None,
    log_level: Annotated[str | None, Parameter(help="debug, info, warning or error")] = None,
    worker: Annotated[bool | None, Parameter(help="Run executions as well; --no-worker leaves that to others")] = None,
    queues: Annotated[str | None, Parameter(help="Queues that it runs executions of, with commas; else all")] = None,
    processes: Annotated[int | None, Parameter(help="Server processes behind the address; PostgreSQL only")] = None,
) -> int:
    """Serve the REST and WebSocket API until it is stopped.

    The first start makes an admin key and prints it once. Every option can be set by a variable: AICFLOW_PORT,
    AICFLOW_DATA_DIR, and so on.
    """
    from aicflow.cli.files import load_settings

    settings = load_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        store=store,
        engine=engine,
        log_level=log_level,
        worker=worker,
        queues=queues,
        processes=processes,
    )
    from aicflow.host.serve import serve

    return serve(settings, say=lambda line: print(line, flush=True))


def open_command(
    *,
    data_dir: Annotated[Path | None, Parameter(help="Folder of the database and the keys")] = None,
    url: Annotated[str | None, Parameter(help="The server; else AICFLOW_URL, or the one on the data folder")] = None,
    print_: Annotated[bool, Parameter(name="--print", help="Only print the link", negative="")] = False,
) -> None:
    """Open the console of a running server in a browser that is then signed in, and print the link.

    The link signs one browser in, once, within 10 minutes, with what the key of this command may do.
    """
    import webbrowser

    from aicflow.cli.say import note
    from aicflow.cli.server import Server
    from aicflow.host.serve import console_link
    from aicflow.kernel.errors import AICFlowError

    server = Server(url, data_dir=data_dir)
    if "console" not in server.about():
        raise AICFlowError(f"{server.url} has no console.", hint="Install it there: pip install aicflow-console")
    link = console_link(server.url, server.api.ticket(use="session")["ticket"])
    print(link)
    if not print_ and not webbrowser.open(link):
        note("There is no browser here; open the link in one that reaches the server.")


def worker_command(
    *,
    data_dir: Annotated[Path | None, Parameter(help="Folder of the server's secret")] = None,
    store: Annotated[str | None, Parameter(help="Store URL, such as postgresql://db.example.com/aicflow")] = None,
    queues: Annotated[str | None, Parameter(help="Queues that it takes from, with commas; else all")] = None,
    max_running: Annotated[int | None, Parameter(help="Executions that it runs at once")] = None,
    log_level: Annotated[str | None, Parameter(help="debug, info, warning or error")] = None,
) -> int:
    """Run executions that servers of the same store accept, until it is stopped.

    It needs a store that several hosts share, and the servers' secret (AICFLOW_SERVER_SECRET_FILE)."""
    from aicflow.cli.files import load_settings

    settings = load_settings(
        data_dir=data_dir, store=store, queues=queues, max_running=max_running, log_level=log_level
    )
    from aicflow.host.working import work

    return work(settings, say=lambda line: print(line, flush=True))
