"""A server that is killed while it makes up for missed fires: the whole window is fired, each of its moments once."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.triggers.conftest import LIGHT, Site, until
from tests.support.server import start_server

WINDOW = 900
CLOCK = {
    "id": "clock",
    "type": "trigger.cron",
    "params": {"schedule": "* * * * * *", "catchup": "all", "window": WINDOW, "overlap": "allow"},
}
DOCUMENT = {
    "aicflow": 1,
    "name": "tick",
    "triggers": [CLOCK],
    "nodes": [{"id": "say", "type": "webhook.respond", "params": {"body": "${{ trigger.scheduled_for }}"}}],
}


def ask(database: Path, text: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return list(connection.execute(text))


def fired(database: Path) -> list[str]:
    """The moments that have fired, in the order in which they did."""
    found = ask(database, "SELECT trigger FROM executions ORDER BY n")
    return [json.loads(trigger)["key"] for (trigger,) in found]


def moment(key: str) -> int:
    return round(datetime.fromisoformat(key).timestamp())


@pytest.mark.slow
def test_every_fire_inside_the_window_is_fired_once(tmp_path: Path) -> None:
    database = tmp_path / "data" / "aicflow.db"
    server = start_server(tmp_path / "data", LIGHT)
    try:
        site = Site(server)
        site.save(DOCUMENT, id="tick")
        until(lambda: site.executions("tick"), "the first fire")
        site.close()
        server.kill()
        before = [moment(key) for key in fired(database)]
        ((text,),) = ask(database, "SELECT state FROM triggers")
        state = json.loads(text) | {"last": time.time() - 2 * WINDOW}  # as if the server had been away so long
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE triggers SET state = ?", [json.dumps(state)])
        for kill in range(3):
            begun = len(fired(database))
            server = start_server(tmp_path / "data", LIGHT)
            until(lambda least=begun + 130: len(fired(database)) >= least, f"catching up, to be killed ({kill})")
            server.kill()
        ((text,),) = ask(database, "SELECT state FROM triggers")
        assert "owed_until" in json.loads(text), "the kills came too late to be some"
        server = start_server(tmp_path / "data", LIGHT)
        began = json.loads(text)["owed_until"]
        until(lambda: moment(fired(database)[-1]) > began, "the end of it", 60)
        server.kill()
        moments = [moment(key) for key in fired(database)][len(before) :]
        span = range(moments[0], moments[-1] + 1)
        assert moments == [one for one in span if one not in before], "in order, none left out, none twice"
        assert began - WINDOW < moments[0] <= began - WINDOW + 1
    finally:
        server.kill()
