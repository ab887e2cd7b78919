"""`aicflow audit` and `aicflow subjects` at a real server, and what commands tell that write to the store itself."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROGRAM, Run
from .test_db import database  # noqa: F401 - a fixture
from .test_driving import well

WORKFLOW = """
aicflow: 1
name: about
labels: {customer: acme}
settings: {subject: "${{ input.email }}"}
nodes: [{id: a, type: wait, params: {seconds: 0}}]
output: "${{ input }}"
"""


@pytest.fixture
def at_server(aicflow: Run, environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """A server on the data folder, with a workflow."""
    (tmp_path / "about.yaml").write_text(WORKFLOW, "utf-8")
    server = subprocess.Popen([*PROGRAM, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    well(aicflow("deploy", "about.yaml"))
    yield aicflow
    server.terminate()
    server.communicate(timeout=30)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("database")
def test_commands_that_write_to_the_store_are_told(aicflow: Run, environment: dict[str, str]) -> None:
    key = json.loads(well(aicflow("keys", "create", "ci", "--output", "json")))
    well(aicflow("keys", "rotate", key["id"]))
    well(aicflow("keys", "revoke", key["id"]))
    well(aicflow("keys", "list"))
    well(aicflow("db", "prune", "--count", "0", "--dry-run"))
    well(aicflow("db", "prune", "--count", "0"))
    well(aicflow("db", "doctor"))
    told = lines(well(aicflow("audit", "export")))
    assert [entry["action"] for entry in told] == ["keys.create", "keys.rotate", "keys.revoke", "db.prune"]
    assert {(entry["actor"], entry["outcome"]) for entry in told} == {("cli", "done")}
    assert told[0]["made"] == key["id"]
    assert all(entry["user"] for entry in told)
    whole = aicflow("audit", "verify", "--output", "json")
    report = json.loads(well(whole))
    assert (report["entries"], report["problems"], report["hash"]) == (4, [], told[-1]["hash"])
    assert "Whole." in well(aicflow("audit", "verify", "--expect", report["hash"]))
    with closing(sqlite3.connect(Path(environment["AICFLOW_DATA_DIR"]) / "aicflow.db")) as connection:
        connection.execute("DELETE FROM audit WHERE seq = 4")
        connection.commit()
    assert "Whole." in well(aicflow("audit", "verify"))
    cut = aicflow("audit", "verify", "--expect", report["hash"])
    assert cut.returncode == 1
    assert "was cut" in cut.stdout
    late = aicflow("audit", "export", "--since", "2999-01-01")
    assert well(late) == ""


def test_a_person_is_found_exported_and_erased(at_server: Run, tmp_path: Path) -> None:
    aicflow = at_server
    for who in ("ann@example.com", "bob@example.com"):
        well(aicflow("executions", "start", "about", "--input", json.dumps({"email": who}), "--wait"))
    found = json.loads(well(aicflow("subjects", "find", "ann@example.com", "--output", "json")))
    assert found["counts"] == {"execution": 1}
    (exported,) = lines(well(aicflow("subjects", "export", "-", input="ann@example.com\n")))
    assert exported["data"]["input"] == {"email": "ann@example.com"}
    assert len(lines(well(aicflow("subjects", "export", "--label", "customer=acme")))) == 2
    done = aicflow("subjects", "erase", "ann@example.com", "--dry-run")
    assert "execution: 1" in well(done)
    assert "Nothing was done" in done.stderr
    assert "1 erased" in aicflow("subjects", "erase", "ann@example.com").stderr
    assert json.loads(well(aicflow("subjects", "find", "ann@example.com", "--output", "json")))["counts"] == {}
    record = json.loads(well(aicflow("subjects", "record", "--output", "json")))
    assert record["workflows"][0]["subject"] == "${{ input.email }}"
    assert "about" in well(aicflow("subjects", "record"))
    (tmp_path / "data" / "copy.txt").write_text("To: bob@example.com", "utf-8")
    left = aicflow("subjects", "erase", "bob@example.com")
    assert left.returncode == 1
    assert "still readable: " in left.stdout
    for wrong in (("find",), ("erase", "--bogus"), ("find", "--label", "x")):
        assert aicflow("subjects", *wrong).returncode == 2, wrong
    # what was done is told, without the person
    tail = well(aicflow("audit", "tail", "--action", "erase_subject"))
    assert "erase_subject" in tail
    assert "ann@" not in tail
    assert len(json.loads(well(aicflow("audit", "tail", "--limit", "3", "--output", "json")))) == 3
    assert "no such entry" in aicflow("audit", "tail", "--actor", "nobody").stderr
    assert "Whole." in well(aicflow("audit", "verify"))
