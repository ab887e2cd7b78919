"""When an execution that is claimed again and again counts as one that gets nowhere."""

from __future__ import annotations

from aicflow.engine.run.recovery import stalled
from aicflow.events import encode_event


def log(*events: tuple[str, int]) -> list[bytes]:
    return [
        encode_event(seq, 0.0, kind, "ex_1", data=b'{"claim":%d}' % claim if claim else b"{}")
        for seq, (kind, claim) in enumerate(events, 1)
    ]


def test_what_began_and_got_nowhere_counts() -> None:
    begun = [("execution.resumed", claim) for claim in range(1, 6)]
    assert stalled(6, log(*begun)) == 5
    assert stalled(6, log(*begun, ("step.succeeded", 0))) == 0
    assert stalled(8, log(*begun, ("step.succeeded", 0), ("execution.resumed", 6), ("execution.resumed", 7))) == 2


def test_claims_that_began_nothing_count_a_tenth() -> None:
    assert stalled(1, []) == 0
    assert stalled(20, []) == 1, "it stood in line behind others whose workers died"
    assert stalled(201, []) == 20, "and not for ever: something may kill a worker before it writes anything"
    assert stalled(23, log(("execution.resumed", 1), ("execution.resumed", 22))) == 4
