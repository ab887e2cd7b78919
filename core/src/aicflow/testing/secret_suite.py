"""The conformance suite of secret sources: subclass it, give it your source and a secret it has, run it with pytest.

class TestMySource(SecretSourceSuite):
    @pytest.fixture
    def source(self):
        return MySource()

    known = ("TOKEN", "what your source has under that name")
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import ClassVar

import pytest

from aicflow.engine.secrets import Secrets
from aicflow.kernel.records import SecretSource


class SecretSourceSuite:
    """What every secret source must do."""

    known: ClassVar[tuple[str, str]]
    """The name and the value of a secret that the source has."""

    async def test_it_is_a_secret_source(self, source: SecretSource) -> None:
        """It has a name for messages, and both methods are awaited."""
        assert isinstance(source, SecretSource)
        assert source.name
        assert isinstance(source.name, str)
        assert inspect.iscoroutinefunction(source.get)
        assert inspect.iscoroutinefunction(source.names)

    async def test_it_returns_the_value(self, source: SecretSource) -> None:
        """The value is text, the same however often it is asked for."""
        name, value = self.known
        assert [await source.get(name), await source.get(name)] == [value, value]

    @pytest.mark.parametrize("name", ["AICFLOW_NO_SUCH_SECRET", "", "../x", "a/b", "a\0b", "ü", "x" * 5_000])
    async def test_a_name_it_does_not_have_is_none(self, source: SecretSource, name: str) -> None:
        """None lets the next source answer; an error would stop the step."""
        assert await source.get(name) is None

    async def test_what_it_lists_it_has(self, source: SecretSource) -> None:
        """`names` is None, or every name, each with a value."""
        names = await source.names()
        if names is not None:
            assert self.known[0] in names
            assert len(set(names)) == len(names)
            assert all([isinstance(await source.get(name), str) for name in names])

    async def test_many_ask_at_once(self, source: SecretSource) -> None:
        """Steps run at the same time."""
        name, value = self.known
        assert await asyncio.gather(*(source.get(name) for _ in range(50))) == [value] * 50

    async def test_who_asks_may_give_up(self, source: SecretSource) -> None:
        """A request that is cancelled, as after its timeout, leaves the source usable."""
        name, value = self.known
        asking = asyncio.ensure_future(source.get(name))
        await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert await source.get(name) == value

    async def test_the_server_gets_it_and_hides_it(self, source: SecretSource) -> None:
        """The way that a step's secret takes."""
        name, value = self.known
        secrets = Secrets([source])
        await secrets.learn()
        assert await secrets.fetch(name) == value
        assert value not in secrets.mask.text(f"it is {value}!")
