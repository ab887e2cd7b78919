"""Secrets are masked by value in what is shown and stored, in every form; nodes receive what was really said."""

from __future__ import annotations

import base64
import json
import random
import secrets as entropy
from typing import Any
from urllib.parse import quote

import pytest
from aicflow.engine.masking import MASKED, DeltaMask, Mask
from aicflow.kernel.errors import Conflict
from aicflow.kernel.ports.executions import ExecutionFilter

ALL = ExecutionFilter()

PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(
    ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"]
)
SECRETS = ["2026", "true", "null", 'a"b', "🔑", 'pass "word" \\ é', "20262026", PEM, "s3cr3t-value"]
FORMS = {
    "plain": lambda s: s,
    "url": lambda s: quote(s, safe=""),
    "hex": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "escaped": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "ascii": lambda s: json.dumps(json.dumps(s))[1:-1],
}


def around(chance: random.Random, form: str, secret: str) -> Any:
    """JSON data that holds the form somewhere."""
    kinds = [form, f"it is {form}, truly", [1, {"deep": [form]}], {"n": 2026, "b": True, "x": None, "t": form}]
    if len(secret) >= 8:
        kinds += [f"x{form}y", {form: 1, "other": form}]
    return chance.choice(kinds)


@pytest.mark.parametrize("secret", SECRETS)
async def test_nothing_shown_holds_a_secret_and_nodes_receive_it(lab: Any, secret: str) -> None:
    lab.environment["AICFLOW_SECRET_S"] = secret
    await lab.executions.secrets.learn()
    chance = random.Random(secret)
    cases = [around(chance, form(secret), secret) for form in FORMS.values() for _ in range(3)]
    cases.append({"long": ["x" * 40_000, secret]})
    nodes, edges = [], []
    for i, case in enumerate(cases):
        lab.ledger.said[f"c{i}"] = case
        nodes.append({"id": f"s{i}", "type": "lab.say", "params": {"name": f"c{i}"}})
        nodes.append({"id": f"t{i}", "type": "lab.take", "params": {"value": f"${{{{ nodes.s{i}.output }}}}"}})
        edges.append(f"s{i} > t{i}")
    output = {f"c{i}": f"${{{{ nodes.t{i}.output }}}}" for i in range(len(cases))}
    execution = await lab.run(nodes, edges, output=output)
    assert execution.status == "succeeded", execution.error
    assert sorted(map(json.dumps, lab.ledger.taken)) == sorted(map(json.dumps, cases))
    shown = [*await lab.executions.events(execution.id), *(await lab.store.executions.outputs(execution.id)).values()]
    for encoded in [*shown, json.dumps(execution.output, ensure_ascii=False).encode()]:
        texts = list(strings(json.loads(encoded)))
        for form in FORMS.values():
            found = [text for text in texts if text == form(secret) or f" {form(secret)}," in text]
            assert not found
            assert len(secret) < 8 or not any(form(secret) in text for text in texts)
    assert await lab.store.executions.outputs(execution.id, [f"$sealed:s{i}" for i in range(len(cases))]) == {}


def strings(value: Any) -> Any:
    """Every text in JSON data, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize("secret", ["main", "true", "error", "timeout", "s3cr3t-value"])
async def test_what_programs_read_of_an_event_stays_and_a_crash_changes_nothing(lab: Any, secret: str) -> None:
    lab.environment["AICFLOW_SECRET_S"] = secret
    await lab.executions.secrets.learn()
    lab.ledger.said = {"out": {"token": secret, "pad": "x" * 40_000}, "why": secret}
    execution_id = await lab.start(
        [
            {"id": "s", "type": "lab.say", "params": {"name": "out"}},
            {"id": "f", "type": "lab.fail_with", "params": {"name": "why"}},
            {"id": "h", "type": "lab.hold"},
            {"id": "a", "type": "lab.ask", "params": {"name": "why"}},
            {
                "id": "t",
                "type": "lab.take",
                "params": {
                    "value": ["${{ nodes.s.output.token }}", "${{ nodes.f.error.message }}", "${{ nodes.a.output }}"]
                },
            },
        ],
        ["s > f", "f error> h", "h > a", "a > t"],
    )
    await lab.ledger.entered["hold"].wait()
    await lab.crash()
    lab.ledger.gates["hold"].set()
    await lab.until(execution_id, "waiting")
    await lab.crash()
    await lab.executions.resume(execution_id, "a", value=secret)
    execution = await lab.end(execution_id)
    assert execution.status == "succeeded", execution.error
    assert lab.ledger.taken == [[secret, f"it was {secret}", secret]]
    events = await lab.events(execution_id)
    said = {event.node_id: event.data for event in events if event.type in ("step.failed", "step.waiting")}
    assert said["f"]["error"]["message"] == f"it was {MASKED}"
    assert said["f"]["error"]["details"] == {"seen": MASKED}
    assert said["a"]["message"] == f"Is it {MASKED}?"


async def test_a_parent_receives_the_real_output_of_its_child(lab: Any) -> None:
    lab.ledger.said = {"out": ["s3cr3t-value"]}
    child = await lab.workflow(
        [{"id": "s", "type": "lab.say", "params": {"name": "out"}}], output="${{ nodes.s.output }}"
    )
    execution = await lab.run(
        [
            {"id": "c", "type": "workflow.call", "params": {"workflow": child}},
            {"id": "t", "type": "lab.take", "params": {"value": "${{ nodes.c.output }}"}},
        ],
        ["c > t"],
    )
    assert execution.status == "succeeded", execution.error
    assert "s3cr3t-value" in json.dumps(lab.ledger.taken)
    events = [await lab.executions.events(one.id) for one in (await lab.store.executions.list(ALL, limit=9)).items]
    assert len(events) == 2
    assert b"s3cr3t-value" not in b"".join(event for some in events for event in some)


async def test_a_rerun_says_which_step_must_run_again(lab: Any) -> None:
    lab.ledger.said = {"out": "s3cr3t-value"}
    execution = await lab.run(
        [
            {"id": "s", "type": "lab.say", "params": {"name": "out"}},
            {"id": "t", "type": "lab.take", "params": {"value": "${{ nodes.s.output }}"}},
        ],
        ["s > t"],
    )
    with pytest.raises(Conflict, match="'s' held a secret") as refused:
        await lab.executions.rerun(execution.id, from_node="t")
    assert refused.value.code == "output-masked"
    again = await lab.end((await lab.executions.rerun(execution.id, from_node="s")).execution_id)
    assert again.status == "succeeded"
    assert lab.ledger.taken == ["s3cr3t-value"] * 2


async def test_values_that_a_node_masks_are_hidden_though_no_source_has_them(lab: Any) -> None:
    execution = await lab.run([{"id": "m", "type": "lab.token"}])
    events = b"".join(await lab.executions.events(execution.id))
    assert b"fetched-token" not in events
    assert events.count(b"Bearer ***") >= 2


def test_a_secret_inside_base64_is_hidden_wherever_it_starts() -> None:
    secret = 'pass "word" é'
    mask = Mask([secret])
    chance = random.Random(1)
    for _ in range(300):
        before, after = (entropy.token_bytes(chance.randrange(9)) for _ in range(2))
        assert MASKED in mask.text(base64.b64encode(before + secret.encode() + after).decode())
        assert MASKED in mask.text(base64.urlsafe_b64encode(before + secret.encode() + after).decode())


def test_a_short_secret_counts_only_where_it_stands_alone() -> None:
    mask = Mask(["2026", "on"])
    assert mask.text("in 2026, not 12026 nor 2026x; on and on") == "in ***, not 12026 nor 2026x; on and on"
    assert mask.value({"2026": 2026, "b": True}) == {"2026": 2026, "b": True}
    assert Mask(["20262026"]).value({"20262026": [20262026, 12026202]}) == {MASKED: [MASKED, 12026202]}


def test_secrets_that_overlap_are_hidden_together() -> None:
    mask = Mask(["abcdefgh", "efghijklmn", "cdef"])
    assert mask.text("x abcdefghijklmn y") == "x *** y"
    assert mask.text("xcdefghijklmn") == "xcd***"


def test_a_secret_that_comes_in_pieces_is_hidden_in_deltas() -> None:
    deltas = DeltaMask(Mask(["s3cr3t-value"]))
    pieces = ["the value is s3c", "r3t-", "value", " and s3cr", "aps", {"n": "s3cr3t-value"}, " s3cr"]
    shown = [one for piece in pieces for one in deltas.shown({"text": piece} if isinstance(piece, str) else piece)]
    shown += deltas.rest()
    assert {"n": MASKED} in shown
    assert "".join(one.get("text", "") for one in shown) == f"the value is {MASKED} and s3craps s3cr"


def test_a_long_secret_streams_in_small_pieces_and_none_is_cut_at_the_edge_of_another() -> None:
    long = "".join(chr(97 + i * i % 26) + str(i) for i in range(120))
    deltas = DeltaMask(Mask([long]))
    pieces = [f"before {long} after"[at : at + 7] for at in range(0, len(long) + 13, 7)]
    shown = [one["text"] for piece in pieces for one in deltas.shown({"text": piece})]
    assert "".join([*shown, *(one["text"] for one in deltas.rest())]) == f"before {MASKED} after"

    deltas = DeltaMask(Mask(["AAAA1111B", "1B999999"]))
    shown = [one["text"] for one in (*deltas.shown({"text": "x AAAA1111B"}), *deltas.shown({"text": " y"}))]
    assert "".join(shown) == f"x {MASKED} y"


def test_the_beginning_of_a_secret_before_a_cut_is_hidden() -> None:
    """A text may be shortened where the secrets are not known, as in the sandbox of Python code."""
    mask = Mask(["s3cr3t-value-of-many-characters"])
    assert mask.text("it was s3cr3t-value… (9 more characters)") == f"it was {MASKED}… (9 more characters)"
    assert mask.json(b'{"m":"s3cr3t-value-of\xe2\x80\xa6"}') == b'{"m":"***\xe2\x80\xa6"}'
    for harmless in ("it was s3c…", "wait…", "…", "no s3cr3t-value here"):
        assert mask.text(harmless) == harmless
        body = json.dumps({"m": harmless}, ensure_ascii=False, separators=(",", ":")).encode()
        assert mask.json(body) is body


async def test_what_a_called_node_returns_to_a_model_is_masked(lab: Any) -> None:
    lab.ledger.said = {"out": {"echo": "s3cr3t-value", "n": [2026]}, "why": "Bearer s3cr3t-value"}
    execution = await lab.run([{"id": "m", "type": "lab.model"}])
    assert execution.status == "succeeded", execution.error
    assert lab.ledger.taken == [
        {"echo": "s3cr3t-value", "n": [2026]},
        {"echo": MASKED, "n": [2026]},
        f"it was Bearer {MASKED}",
    ]


def test_a_report_is_cut_after_its_secrets_are_hidden_also_where_the_real_one_is_kept() -> None:
    from aicflow.engine.run.failure import report_of, report_to_json
    from aicflow.kernel.errors import PermanentError

    mask = Mask(["s3cr3t-value"])
    for size in (3_990, 5_000):
        error = PermanentError("x" * size + "s3cr3t-value")
        error.__cause__ = ValueError("y" * (size - len("ValueError: ")) + "s3cr3t-value")
        for hide in (True, False):
            assert "s3" not in json.dumps(report_to_json(report_of(error, "a", 1), mask, hide=hide))
    short = report_of(PermanentError("it is s3cr3t-value"), "a", 1)
    assert report_to_json(short, mask, hide=False)["message"] == "it is s3cr3t-value"
    assert report_to_json(short, mask)["message"] == "it is ***"
