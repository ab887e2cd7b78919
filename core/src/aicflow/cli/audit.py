"""`aicflow audit …`: who did what, from a server or from the store itself, and whether the record is whole."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.db import in_store, settings_of
from aicflow.cli.say import Output, complain, print_json
from aicflow.cli.server import Server

if TYPE_CHECKING:
    from aicflow.kernel.ports.store import Store

audit = App(name="audit", help="Who changed what and who was refused: verify, export, tail.")
_DataDir = Annotated[Path | None, Parameter(help="Folder of the database and the keys")]
_Actor = Annotated[str | None, Parameter(help="By this actor, such as key:ak_… or system")]
_Action = Annotated[str | None, Parameter(help="Of this action, such as delete_workflow")]
_Target = Annotated[str | None, Parameter(help="About this, such as workflows/wf_1, or the id of what was made")]


@audit.command(name="verify")
def verify_command(
    *,
    expect: Annotated[str | None, Parameter(help="A hash of an earlier verification")] = None,
    data_dir: _DataDir = None,
    output: Output = "text",
) -> int:
    """Read the whole chain in the store, also beside a running server. Leaves with 1 when something was changed,
    removed or moved. Keep the hash that it prints elsewhere, and give it with --expect the next time: a chain cannot
    show by itself that its end was cut off."""
    settings = settings_of(data_dir)

    async def verify(store: Store) -> dict[str, Any]:
        from aicflow.host.audit_chain import AuditKey, verify_chain
        from aicflow.host.datadir import DataDir

        return await verify_chain(store.audit, AuditKey(DataDir(settings.data_dir).server_secret()), expect=expect)

    found = in_store(settings, verify)
    if output == "json":
        print_json(found)
    else:
        for problem in found["problems"]:
            print(f"problem: {problem}")
        print(f"{found['entries']} entries, {found['checkpoints']} checkpoints, hash {found['hash']}")
        if not found["problems"]:
            print("Whole.")
    return 1 if found["problems"] else 0


@audit.command(name="export")
def export_command(
    *, since: Annotated[datetime | None, Parameter(help="From this instant on")] = None, data_dir: _DataDir = None
) -> None:
    """Print every entry of the store in order, as one JSON object a line, with its hash."""
    settings = settings_of(data_dir)

    async def export(store: Store) -> None:
        from aicflow.host.audit import shown
        from aicflow.kernel.clock import iso

        first, after = iso(since.astimezone().timestamp()) if since is not None else "", 0
        while rows := await store.audit.read(after=after, limit=5000):
            after = rows[-1].seq
            for entry in map(shown, rows):
                if entry["at"] >= first:
                    sys.stdout.write(json.dumps(entry, ensure_ascii=False) + "\n")

    in_store(settings, export)


@audit.command(name="tail")
def tail_command(
    *,
    actor: _Actor = None,
    action: _Action = None,
    target: _Target = None,
    limit: Annotated[int, Parameter(help="How many of the newest")] = 20,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), help="Go on with what comes", negative="")] = False,
    output: Output = "text",
) -> None:
    """Show the newest entries of a server, oldest first."""
    api, last = Server().api, 0

    def newest(most: int) -> Iterator[dict[str, Any]]:
        for entry in api.audit.list(actor=actor, action=action, target=target, limit=most):
            if entry["seq"] <= last:
                return
            yield entry

    while True:
        found = list(newest(limit if not last else 10_000))[::-1]
        if output == "json" and not follow:
            print_json(found)
            return
        for entry in found:
            print(json.dumps(entry, ensure_ascii=False) if output == "json" else _line(entry), flush=True)
        last = found[-1]["seq"] if found else last
        if not follow:
            if not found:
                complain("There is no such entry.")
            return
        time.sleep(1.0)


def _line(entry: dict[str, Any]) -> str:
    many = entry.get("count") or 1
    words = [entry["at"], entry["actor"], entry["action"], entry["target"], entry["outcome"]]
    words += [str(entry[name]) for name in ("status", "made", "address", "user") if entry.get(name) is not None]
    return "  ".join(words) + (f"  × {many}" if many > 1 else "")
