"""Secrets from sources that have to be waited for, that fail, and that change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aicflow import Context, SecretText, TransientError, node
from aicflow.engine.secrets import EnvironmentSecrets, Secrets, SecretUnavailable
from aicflow.kernel.errors import AICFlowError, PermanentError
from aicflow.ports import SecretSource
from aicflow.testing.secret_suite import SecretSourceSuite


class Vault:
    """A source far away: it answers when the test lets it."""

    name = "vault"

    def __init__(self, values: dict[str, Any], listed: bool = False) -> None:
        self.values = values
        self.listed = listed
        self.asked: list[str] = []
        self.changed = asyncio.Condition()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def get(self, secret: str) -> str | None:
        async with self.changed:
            self.asked.append(secret)
            self.changed.notify_all()
        await asyncio.sleep(0)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        found: str | None = self.values.get(secret)
        return found

    async def asked_for(self, *names: str) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: set(names) <= set(self.asked))

    async def names(self) -> Sequence[str] | None:
        await asyncio.sleep(0)
        return sorted(self.values) if self.listed else None


class TestEnvironment(SecretSourceSuite):
    known = ("TOKEN", "a value of the environment")

    @pytest.fixture
    def source(self) -> SecretSource:
        return EnvironmentSecrets({"AICFLOW_SECRET_TOKEN": "a value of the environment"})


class TestVault(SecretSourceSuite):
    known = ("TOKEN", "a value of the vault")

    @pytest.fixture
    async def source(self) -> SecretSource:
        return Vault({"TOKEN": "a value of the vault"})


async def test_a_value_is_fetched_once_for_all_who_wait_and_kept_for_its_lifetime() -> None:
    vault = Vault({"A": "value of a"})
    secrets = Secrets([vault])
    assert await asyncio.gather(*(secrets.fetch("A") for _ in range(20))) == ["value of a"] * 20
    vault.values["A"] = "a new value"
    assert await secrets.fetch("A") == "value of a"
    assert vault.asked == ["A"]

    brief = Secrets([vault], lifetime=0)
    assert await brief.fetch("A") == "a new value"
    vault.values["A"] = "the next value"
    assert await brief.fetch("A") == "the next value"
    assert brief.mask.text("a new value, the next value") == "***, ***", "the old one stays hidden"


async def test_one_who_gives_up_leaves_the_others_waiting() -> None:
    vault = Vault({"A": "value of a"})
    vault.open.clear()
    secrets = Secrets([vault])
    first, second = (asyncio.ensure_future(secrets.fetch("A")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    vault.open.set()
    assert await second == "value of a"


async def test_a_source_that_does_not_answer_is_named_with_the_secret() -> None:
    vault = Vault({"A": "x"})
    vault.open.clear()
    with pytest.raises(SecretUnavailable) as slow:
        await Secrets([vault], timeout=0.01).fetch("A")
    assert slow.value.message == "Secret source 'vault' did not return 'A': no answer within 0.01 s."
    assert isinstance(slow.value, TransientError)
    vault.open.set()
    for error, told in (
        (OSError("connected with password hunter2"), "OSError"),
        (AICFlowError("The vault is sealed."), "The vault is sealed"),
    ):
        vault.error = error
        with pytest.raises(SecretUnavailable) as failed:
            await Secrets([vault, EnvironmentSecrets({"AICFLOW_SECRET_A": "other"})]).fetch("A")
        assert failed.value.message == f"Secret source 'vault' did not return 'A': {told}."
    vault.error, vault.values["A"] = None, 7
    with pytest.raises(PermanentError, match="'vault' returned int for 'A', not text"):
        await Secrets([vault]).fetch("A")


async def test_sources_are_asked_in_order_also_when_they_list() -> None:
    first, second = Vault({"A": "first a"}), Vault({"A": "second a", "B": "second b"}, listed=True)
    secrets = Secrets([first, second])
    await secrets.learn()
    assert await secrets.fetch("A") == "first a", "the second one lists it, but is not asked first"
    assert await secrets.fetch("B") == "second b"
    assert secrets.mask.text("second a") == "***"
    assert await secrets.names() is None
    first.listed = True
    assert await Secrets([first, second]).names() == {"A", "B"}
    with pytest.raises(PermanentError, match=r"no secret 'C' \(sources asked: vault, vault\)"):
        await secrets.fetch("C")


async def test_a_source_that_is_away_at_the_start_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    vault = Vault({"A": "value of a"}, listed=True)
    vault.error = OSError("no route, and a password")
    secrets = Secrets([vault])
    await secrets.learn()
    assert caplog.messages == ["Secret source vault cannot list its secrets: OSError"]
    vault.error = None
    assert await secrets.fetch("A") == "value of a"


@node("lab.shown")
async def shown(value: SecretText) -> str:
    """Returns a secret param."""
    return value


@node("lab.hurried")
async def hurried(ctx: Context) -> str:
    """Reads a secret without waiting."""
    return ctx.secret("B")


@node("lab.patient")
async def patient(ctx: Context) -> str:
    """Waits for a secret."""
    return await ctx.fetch_secret("C")


@node("lab.threaded")
def threaded(ctx: Context) -> str:
    """Reads a secret in a thread."""
    return ctx.secret("D")


async def test_steps_wait_for_secrets_and_never_hold_up_the_loop(lab: Any) -> None:
    vault = Vault({name: f"value of {name}" for name in "ABCD"})
    for cls in (shown, hurried, patient, threaded):
        lab.registry.register(cls)
    lab.executions.secrets.sources = (vault,)
    nodes = [
        {"id": "param", "type": "lab.shown", "params": {"value": "Bearer ${{ secrets.A }}"}},
        {
            "id": "hurried",
            "type": "lab.hurried",
            "retry": {"max_attempts": 500, "initial_delay": 0.02, "multiplier": 1},
        },
        {"id": "patient", "type": "lab.patient"},
        {"id": "threaded", "type": "lab.threaded"},
    ]
    vault.open.clear()
    started = await lab.start(nodes)
    await vault.asked_for("A", "B", "C", "D")  # the loop goes on while four steps wait
    vault.open.set()
    execution = await lab.end(started)
    assert execution.status == "succeeded", execution.error
    events = b"".join(await lab.executions.events(started))
    assert b"value of" not in events
    assert events.count(b'"***"') == 6, "three outputs, each in its step and in the whole"
    assert b'"Bearer ***"' in events
    assert b"fetch_secret" in events


async def test_a_step_that_waits_for_a_secret_can_be_cancelled(lab: Any) -> None:
    vault = Vault({"C": "value of c"})
    vault.open.clear()
    lab.registry.register(patient)
    lab.executions.secrets.sources = (vault,)
    started = await lab.start([{"id": "p", "type": "lab.patient"}])
    await vault.asked_for("C")
    await lab.executions.cancel(started)
    assert (await lab.end(started)).status == "cancelled"
