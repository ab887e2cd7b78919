"""A step's output holds a secret and the process dies before the next step: it still receives the real value, though
nothing that is stored holds it."""

from __future__ import annotations

import signal

import pytest

from tests.faults.databases import stored_bytes
from tests.faults.nodes import TOKEN
from tests.faults.processes import Site
from tests.faults.test_named_moments import save
from tests.faults.worker import Failpoint
from tests.faults.workflows import document

WHISPERED = document(
    "whispered",
    [
        {"id": "w", "type": "faults.whisper"},
        {"id": "c", "type": "faults.compare", "params": {"token": "${{ nodes.w.output.token }}"}},
    ],
    ["w > c"],
    output="${{ nodes.c.output }}",
)


@pytest.mark.parametrize("after", [False, True])
def test_the_consumer_receives_the_real_value_after_a_kill(site: Site, after: bool) -> None:
    save(site, whispered=WHISPERED)
    assert "hunter" in TOKEN
    point = Failpoint("append", "step.started", "c", after=after)
    worker = site.worker(failpoint=point).up()
    worker.send("start", workflow_id="whispered", key="k")
    assert worker.join() == -signal.SIGKILL
    assert b"hunter" not in stored_bytes(site.spec.db)
    worker = site.worker().up()
    execution = worker.ask("start", workflow_id="whispered", key="k")
    story = site.settled([execution]).check().executions[execution]
    assert (story.status, story.output) == ("succeeded", "***")
    assert (story.words()["real"], story.words()["masked"]) == (1, 0)
    assert b"hunter" not in stored_bytes(site.spec.db)
