"""Many executions that count under one key at the same moment."""

import asyncio
from typing import Any

from aicflow.engine.masking import Mask
from aicflow.engine.nodes.state import StepState
from aicflow.engine.sealing import Seal, Vault
from aicflow.kernel.errors import Conflict
from aicflow.store import MemoryStore

MANY = 150


class Slow:
    """The states of a store that is somewhere else."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.refused = 0

    async def get(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return await self._inner.get(*args)

    async def put(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        try:
            return await self._inner.put(*args, **kwargs)
        except Conflict:
            self.refused += 1
            raise


async def test_none_of_them_is_in_another_one_s_way() -> None:
    store = MemoryStore()
    await store.open()
    document = {"aicflow": 1, "name": "w", "nodes": [{"id": "a", "type": "wait", "params": {"seconds": 0}}]}
    await store.workflows.create("wf", document, now=1.0)
    slow: Any = Slow(store.state)
    vault = Vault(Seal(b"secret" * 6), Mask(()))
    states = [StepState(slow, vault, "wf", f"ex_{number}", f"ex_{number}:a", 1_000) for number in range(MANY)]
    # one of them counts twice at once: that is two
    await asyncio.gather(*(state.add("n", 1) for state in [*states, states[0]]))
    found = await store.state.get("wf", "n")
    assert found is not None
    assert found.value == found.version == MANY + 1
    assert slow.refused == 0
    await store.close()
