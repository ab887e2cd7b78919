"""One process for each execution: what is shared within it, what never passes between two, when it goes."""

# ruff: noqa: ASYNC110, ASYNC240 - these tests watch real processes, through /proc

from __future__ import annotations

import asyncio
import os

import pytest
from aicflow_python.sandbox import Call, LimitExceeded, Limits, ProcessSandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHO = Call("import contextlib\nreturn contextlib.sys.modules['posix'].getpid()")
POISON = (
    "import json, math\nmath.pi = 3\njson.left = 'behind'\nglobals()['mine'] = 1\n__builtins__['len'] = lambda _: 42"
)


async def pid(sandbox: ProcessSandbox, scope: str | None) -> int:
    value: int = (await sandbox.call(WHO, scope)).unwrap()
    return value


async def test_an_execution_keeps_its_process(sandbox: ProcessSandbox) -> None:
    assert await pid(sandbox, "keeps") == await pid(sandbox, "keeps")


async def test_a_call_without_scope_has_its_own(sandbox: ProcessSandbox) -> None:
    assert len({await pid(sandbox, None) for _ in range(4)}) == 4


async def test_names_never_outlive_a_call(sandbox: ProcessSandbox) -> None:
    await sandbox.call(Call(POISON), "names")
    outcome = await sandbox.call(Call("return ['mine' in globals(), len('abc')]"), "names")
    assert outcome.value == [False, 3]


async def test_modules_never_outlive_an_execution(sandbox: ProcessSandbox) -> None:
    await sandbox.call(Call(POISON), "first")
    outcome = await sandbox.call(Call("import json, math\nreturn [hasattr(json, 'left'), math.pi > 3.1]"), "second")
    assert outcome.value == [False, True]


async def test_processes_do_not_share_their_randomness(sandbox: ProcessSandbox) -> None:
    call = Call("import random, uuid\nreturn [random.random(), str(uuid.uuid4())]")
    drawn = [(await sandbox.call(call)).unwrap() for _ in range(4)]
    assert len({number for number, _ in drawn}) == len({name for _, name in drawn}) == 4


async def test_parallel_nodes_of_one_execution_do_not_wait_for_each_other(sandbox: ProcessSandbox) -> None:
    slow = asyncio.create_task(sandbox.call(Call("import time\ntime.sleep(30)", limits=Limits(timeout=30)), "both"))
    await asyncio.sleep(0.05)
    assert (await sandbox.call(Call("return 1"), "both")).value == 1
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_after_a_limit_the_execution_gets_a_new_process(sandbox: ProcessSandbox) -> None:
    before = await pid(sandbox, "limit")
    outcome = await sandbox.call(Call("while True: pass", limits=Limits(cpu_seconds=0.1)), "limit")
    assert isinstance(outcome.failure, LimitExceeded)
    assert await pid(sandbox, "limit") != before


async def test_release_ends_the_process(sandbox: ProcessSandbox) -> None:
    process = await pid(sandbox, "released")
    await sandbox.release("released")
    await gone(process)


async def test_releasing_during_a_call_ends_the_process_with_the_call(sandbox: ProcessSandbox) -> None:
    process = await pid(sandbox, "busy")
    task = asyncio.create_task(sandbox.call(Call("import time\ntime.sleep(0.2)\nreturn 1"), "busy"))
    await asyncio.sleep(0.05)
    await sandbox.release("busy")
    assert (await task).value == 1
    await gone(process)


async def test_a_scope_nobody_releases_is_let_go() -> None:
    sandbox = ProcessSandbox(warm=1, idle_timeout=0.1)
    await sandbox.start()
    try:
        await gone(await pid(sandbox, "forgotten"))
    finally:
        await sandbox.close()


async def test_the_longest_idle_scope_gives_way_when_places_are_few() -> None:
    sandbox = ProcessSandbox(warm=1, max_children=2)
    await sandbox.start()
    try:
        old, newer = await pid(sandbox, "old"), await pid(sandbox, "newer")
        await pid(sandbox, "newest")
        await gone(old)
        assert await pid(sandbox, "newer") == newer
    finally:
        await sandbox.close()


async def test_calls_beyond_the_places_wait_their_turn() -> None:
    sandbox = ProcessSandbox(warm=1, max_children=2)
    await sandbox.start()
    try:
        call = Call("import time\ntime.sleep(0.02)\nreturn inputs['n']", {})
        outcomes = await asyncio.gather(
            *(sandbox.call(Call(call.code, {"n": n}), f"s{n}" if n % 2 else None) for n in range(12))
        )
        assert [outcome.value for outcome in outcomes] == list(range(12))
    finally:
        await sandbox.close()


async def test_processes_are_waited_for_instead_of_being_made_for_every_call() -> None:
    """More executions than places: each keeps its process from call to call, and the next ones wait."""
    sandbox = ProcessSandbox(warm=1, max_children=4)
    await sandbox.start()

    async def execution(name: str) -> set[int]:
        call = Call(WHO.code, turn=("flow" + name[-1], name))
        found = {(await sandbox.call(call, name)).unwrap() for _ in range(5)}
        await sandbox.release(name)
        return found

    try:
        pids = await asyncio.gather(*(execution(f"s{n}") for n in range(40)))
        assert sum(map(len, pids)) < 80, "200 calls"
    finally:
        await sandbox.close()


async def test_one_workflow_leaves_a_place_to_the_others() -> None:
    sandbox = ProcessSandbox(warm=1, max_children=4)
    await sandbox.start()
    try:
        code, limits = "import time\ntime.sleep(4)", Limits(timeout=5)
        greedy = [
            asyncio.create_task(sandbox.call(Call(code, limits=limits, turn=("greedy", f"g{n}")), f"g{n}"))
            for n in range(12)
        ]
        await asyncio.sleep(0.2)
        for n in range(3):
            assert (await sandbox.call(Call("return 1", turn=("modest", f"m{n}")), f"m{n}")).value == 1
            await sandbox.release(f"m{n}")
        assert not any(task.done() for task in greedy)
    finally:
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)
        await sandbox.close()


async def test_a_process_that_works_between_calls_is_not_used_again(sandbox: ProcessSandbox) -> None:
    code = """
import contextlib
modules = contextlib.sys.modules
def spin(*_):
    while True:
        pass
modules["box.wire"].Channel.receive = spin
return modules["posix"].getpid()
"""
    busy = (await sandbox.call(Call(code), "restless")).unwrap()
    await asyncio.sleep(0.2)
    assert await pid(sandbox, "restless") != busy


async def gone(process: int) -> None:
    async with asyncio.timeout(10):
        while os.path.exists(f"/proc/{process}"):
            await asyncio.sleep(0.01)
