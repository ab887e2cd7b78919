"""Store suite: lists of executions, their filters and their pages."""

from __future__ import annotations

import pytest

from aicflow.kernel.ports.executions import ExecutionFilter, Fire
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import NOW, create, end, park, start


async def _pages(store: Store, where: ExecutionFilter, limit: int) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = await store.executions.list(where, limit=limit, cursor=cursor)
        pages.append([execution.id for execution in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return pages


class ListCases:
    """Newest first, in pages that hold still."""

    async def test_newest_first_in_pages(self, store: Store) -> None:
        for i in range(7):
            await create(store.executions, f"ex_{i}", at=NOW + i)
        assert await _pages(store, ExecutionFilter(), 3) == [
            ["ex_6", "ex_5", "ex_4"],
            ["ex_3", "ex_2", "ex_1"],
            ["ex_0"],
        ]
        assert await _pages(store, ExecutionFilter(), 7) == [[f"ex_{i}" for i in range(6, -1, -1)]]

    async def test_pages_hold_still_while_rows_are_added_and_change(self, store: Store) -> None:
        for i in range(4):
            await start(store.executions, f"ex_{i}", at=NOW)
        first = await store.executions.list(ExecutionFilter(), limit=2)
        await create(store.executions, "ex_new", at=NOW)
        await end(store.executions, "ex_1")
        second = await store.executions.list(ExecutionFilter(), limit=2, cursor=first.next_cursor)
        assert [e.id for e in (*first.items, *second.items)] == ["ex_3", "ex_2", "ex_1", "ex_0"]
        assert second.next_cursor is None

    async def test_order_is_by_time_also_after_the_clock_went_back(self, store: Store) -> None:
        for id, at in (("ex_0", 5), ("ex_1", 2), ("ex_2", 2), ("ex_3", 9), ("ex_4", 0)):
            await create(store.executions, id, at=NOW + at)
        expected = ["ex_3", "ex_0", "ex_2", "ex_1", "ex_4"]
        for limit in (1, 2, 3):
            assert [id for page in await _pages(store, ExecutionFilter(), limit) for id in page] == expected
            assert [id for page in await _pages(store, ExecutionFilter("wf_a"), limit) for id in page] == expected

    async def test_lists_leave_the_large_parts_out(self, store: Store) -> None:
        await start(store.executions, "ex_1", input={"a": 1}, trigger={"kind": "trigger", "key": "k", "payload": [1]})
        await end(store.executions, "ex_1", output={"b": 2})
        [listed] = (await store.executions.list(ExecutionFilter(), limit=5)).items
        assert (listed.input, listed.output, listed.trigger.payload) == (None, None, None)
        assert (listed.trigger.kind, listed.trigger.key, listed.status) == ("trigger", "k", "succeeded")

    @pytest.mark.parametrize("cursor", ["", "nonsense", "!", "eyJhIjoxfQ", "WyJ3b3JrZmxvd3MiLDEsMl0", "é"])
    async def test_a_cursor_of_something_else_is_refused(self, store: Store, cursor: str) -> None:
        with pytest.raises(ValueError, match="cursor"):
            await store.executions.list(ExecutionFilter(), limit=5, cursor=cursor)

    async def test_a_page_has_room(self, store: Store) -> None:
        with pytest.raises(ValueError, match="limit"):
            await store.executions.list(ExecutionFilter(), limit=0)

    async def test_every_filter_and_their_combinations(self, store: Store) -> None:
        executions = store.executions
        hook = {"kind": "trigger", "trigger_id": "hook"}
        await start(executions, "ex_0", at=NOW, workflow="wf_a")
        await start(executions, "ex_1", at=NOW + 1, workflow="wf_a", trigger=hook)
        await start(executions, "ex_2", at=NOW + 2, workflow="wf_b", trigger=hook, rerun_of="ex_0")
        await create(executions, "ex_3", at=NOW + 3, workflow="wf_b", fire=Fire("wf_b:tick", None))
        await start(executions, "ex_4", at=NOW + 4, workflow="wf_a", parent_execution_id="ex_0", parent_node_id="call")
        await end(executions, "ex_0")
        await end(executions, "ex_1", status="failed")
        await park(executions, "ex_2")
        expected = {
            ExecutionFilter(): [4, 3, 2, 1, 0],
            ExecutionFilter(workflow_id="wf_a"): [4, 1, 0],
            ExecutionFilter(statuses=frozenset({"failed", "succeeded"})): [1, 0],
            ExecutionFilter(statuses=frozenset()): [],
            ExecutionFilter(workflow_id="wf_b", statuses=frozenset({"waiting"})): [2],
            ExecutionFilter(trigger_kind="trigger"): [2, 1],
            ExecutionFilter(trigger_kind="trigger", statuses=frozenset({"waiting", "running"})): [2],
            ExecutionFilter(trigger_kind="trigger", workflow_id="wf_a"): [1],
            ExecutionFilter(binding_id="wf_a:hook"): [1],
            ExecutionFilter(binding_id="wf_b:tick"): [3],
            ExecutionFilter(binding_id="wf_b:hook", workflow_id="wf_a"): [],
            ExecutionFilter(binding_id="wf_b:hook", statuses=frozenset({"waiting"})): [2],
            ExecutionFilter(rerun_of="ex_0"): [2],
            ExecutionFilter(parent_execution_id="ex_0"): [4],
            ExecutionFilter(parent_execution_id="ex_0", statuses=frozenset({"running", "queued"})): [4],
            ExecutionFilter(created_after=NOW + 3): [4, 3],
            ExecutionFilter(created_before=NOW + 3): [2, 1, 0],
            ExecutionFilter(workflow_id="wf_a", created_after=NOW + 1, created_before=NOW + 4): [1],
        }
        for where, wanted in expected.items():
            ids = [f"ex_{i}" for i in wanted]
            assert [id for page in await _pages(store, where, 1) for id in page] == ids, where
            assert await _pages(store, where, 50) == [ids], where
            assert sum((await executions.count(where)).values()) == len(ids), where
        assert await executions.count(ExecutionFilter()) == {
            "succeeded": 1,
            "failed": 1,
            "waiting": 1,
            "queued": 1,
            "running": 1,
        }

    async def test_labels_are_the_current_versions(self, store: Store) -> None:
        await store.workflows.create("wf_a", {"name": "a", "labels": {"team": "billing", "urgent": "yes"}}, now=NOW)
        await store.workflows.create("wf_b", {"name": "b", "labels": {"team": "sales"}}, now=NOW + 1)
        await store.workflows.create("wf_c", {"name": "c"}, now=NOW + 2)
        for i, workflow in enumerate(("wf_a", "wf_b", "wf_c", "wf_gone")):
            await create(store.executions, f"ex_{i}", workflow=workflow, at=NOW + i)

        async def found(*labels: tuple[str, str | None]) -> tuple[list[str], list[str]]:
            workflows = await store.workflows.list(limit=9, labels=labels)
            return [one.id for one in workflows.items], (await _pages(store, ExecutionFilter(labels=labels), 9))[0]

        assert await found(("team", None)) == (["wf_b", "wf_a"], ["ex_1", "ex_0"])
        assert await found(("team", "billing")) == (["wf_a"], ["ex_0"])
        assert await found(("team", "billing"), ("urgent", None)) == (["wf_a"], ["ex_0"])
        assert await found(("team", "bill")) == ([], [])
        assert (await store.workflows.get("wf_a")).labels == {"team": "billing", "urgent": "yes"}
        await store.workflows.update("wf_a", document={"name": "a", "labels": {"team": "sales"}}, now=NOW)
        assert await found(("team", "billing")) == ([], [])
        assert await found(("team", "sales")) == (["wf_b", "wf_a"], ["ex_1", "ex_0"])
        assert await store.executions.count(ExecutionFilter(labels=(("team", "sales"),))) == {"queued": 2}

    async def test_text_is_found_in_input_output_error_and_labels(self, store: Store) -> None:
        await store.workflows.create("wf_a", {"name": "a", "labels": {"team": "Billing"}}, now=NOW)
        await start(store.executions, "ex_0", workflow="wf_b", input={"order": "A-17", "note": 'say "100%_\\"'})
        await start(store.executions, "ex_1", workflow="wf_b", at=NOW + 1)
        await end(store.executions, "ex_1", output={"to": "Grüße@example.com"})
        await start(store.executions, "ex_2", workflow="wf_b", at=NOW + 2, input="x" * 5_000 + "needle")
        await create(store.executions, "ex_3", workflow="wf_a", at=NOW + 3)
        for text, ids in {
            "a-17": ["ex_0"],
            '"100%_\\': ["ex_0"],
            "100_": [],
            '"order":"A-': ["ex_0"],
            "grüße@EXAMPLE": ["ex_1"],
            "xneedle": ["ex_2"],
            "team=billing": ["ex_3"],
            "nowhere": [],
        }.items():
            assert (await _pages(store, ExecutionFilter(text=text), 9))[0] == ids, text
        assert await _pages(store, ExecutionFilter(text="a", workflow_id="wf_b"), 9) == [["ex_1", "ex_0"]]
