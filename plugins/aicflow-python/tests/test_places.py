"""Fair turns: a place goes to the workflow, then to the execution, that holds fewest."""

from __future__ import annotations

import asyncio

import pytest
from aicflow_python.sandbox.places import Places, Turn


def never() -> bool:
    return False


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_the_one_who_holds_fewest_is_next() -> None:
    places = Places(4, never)
    order: list[str] = []

    async def enter(turn: Turn) -> None:
        await places.enter(turn)
        order.append(turn[1])

    for turn in (("a", "a1"), ("a", "a1"), ("a", "a2"), ("b", "b1")):
        await places.enter(turn)
    tasks = [asyncio.create_task(enter(turn)) for turn in (("a", "a1"), ("a", "a3"), ("b", "b2"), ("c", "c1"))]
    await settle()
    for turn in (("b", "b1"), ("a", "a2"), ("a", "a1"), ("c", "c1")):
        places.leave(turn)
        await settle()
    assert order == ["c1", "b2", "a3", "a1"]  # c has held nothing for longer than b
    await asyncio.gather(*tasks)
    assert not places.waiting


async def test_one_workflow_never_holds_all_places() -> None:
    places = Places(4, never)
    for n in range(3):
        await places.enter(("a", f"a{n}"))
    fourth = asyncio.create_task(places.enter(("a", "a4")))
    await settle()
    assert not fourth.done()
    await asyncio.wait_for(places.enter(("b", "b1")), 1)
    places.leave(("b", "b1"))
    await settle()
    assert not fourth.done()
    places.leave(("a", "a0"))
    await asyncio.wait_for(fourth, 1)


async def test_a_place_is_not_lost_when_its_taker_is_cancelled() -> None:
    places = Places(1, never)
    await places.enter(("a", "1"))
    first, second = (asyncio.create_task(places.enter(("b", name))) for name in "23")
    await settle()
    places.leave(("a", "1"))  # the place is the first one's, who goes away before it knows
    first.cancel()
    await asyncio.wait_for(second, 1)
    places.leave(("b", "3"))
    await asyncio.wait_for(places.enter(("c", "4")), 1)


async def test_what_can_be_spared_makes_room() -> None:
    idle = [("a", "1")]

    def spare() -> bool:
        places.leave(idle.pop())
        return True

    places = Places(1, spare)
    await places.enter(("a", "1"))
    await asyncio.wait_for(places.enter(("b", "2")), 1)


async def test_closing_refuses_all_who_wait() -> None:
    places = Places(1, never)
    await places.enter(("a", "1"))
    waiting = asyncio.create_task(places.enter(("b", "2")))
    await settle()
    places.close(RuntimeError("closed"))
    with pytest.raises(RuntimeError, match="closed"):
        await waiting


async def test_executions_of_one_workflow_are_served_in_the_order_in_which_they_came() -> None:
    places = Places(4, never)
    served: list[int] = []

    async def run(number: int) -> None:
        for _ in range(2):
            turn = ("a", str(number))
            await places.enter(turn)
            served.append(number)
            await asyncio.sleep(0)
            places.leave(turn)

    await asyncio.gather(*map(run, range(50)))
    assert served == [*range(50), *range(50)]


async def test_a_call_that_gave_up_waiting_takes_no_turn() -> None:
    places = Places(1, never)
    await places.enter(("a", "1"))
    gone = asyncio.create_task(places.enter(("b", "2")))
    await settle()
    gone.cancel()
    await settle()
    assert not places.waiting
    places.leave(("a", "1"))
    await asyncio.wait_for(places.enter(("c", "3")), 1)
