"""What the body of an isolated map sees in an item's execution: what it would see inside of the map's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aicflow.engine.environment import Environment
from aicflow.engine.log import INPUT, SEALED, TRIGGER
from aicflow.engine.run.recovery import resume_from
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.document import Map
from aicflow.kernel.execution import Execution
from aicflow.kernel.ports.executions import Claimed
from aicflow.kernel.values import loads
from aicflow.language.plan import Plan

_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class Outside:
    """What expressions find besides the nodes of the item itself. `hidden` are values that are masked."""

    scope: Mapping[str, Any]
    hidden: frozenset[str]
    names: tuple[str, ...]
    """Under which the item, and its index, are found."""


class Outsides:
    """Reads it once for the items of a map that run here: what is before a map is settled when its items begin."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._known: OrderedDict[str, Outside] = OrderedDict()

    async def of(self, item: Execution, plan: Plan) -> Outside:
        """Of an item's execution, by the plan of its workflow. Raises NotFound when the map's execution is gone."""
        parent_id, step_id = item.trigger.parent_execution_id or "", item.trigger.parent_node_id or ""
        map_id = step_id.partition("[")[0]
        found = self._known.get(place := f"{parent_id} {map_id}")
        if found is None:
            read = partial(self._read, parent_id, map_id, plan)
            found = self._known[place] = await retry_while_unavailable(read)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    async def _read(self, parent_id: str, map_id: str, plan: Plan) -> Outside:
        executions = self._env.store.executions
        parent = await executions.get(parent_id)
        names = [name for node in plan.nodes for name in (node.id, f"{SEALED}:{node.id}")]
        outputs = await executions.outputs(parent_id, [*names, INPUT, TRIGGER])
        events = list(await executions.needed(parent_id))
        resumption = resume_from(plan, Claimed(parent, events, outputs, []), self._env.seal)
        real = [resumption.items.get(name.removeprefix(f"{SEALED}:")) for name in (INPUT, TRIGGER)]
        scope = {
            "input": parent.input if real[0] is None else loads(real[0]),
            "trigger": parent.trigger.payload if real[1] is None else loads(real[1]),
            "nodes": resumption.state.outputs,
        }
        body = plan.nodes[plan.index[map_id]].body
        assert body is not None
        assert isinstance(body.entry, Map)
        return Outside(scope, frozenset(resumption.hidden), (body.entry.as_, "index"))
