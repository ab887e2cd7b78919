"""Files in Python nodes: read from the inputs, made and returned, in each backend; nothing else can be reached."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aicflow_python.sandbox import (
    Call,
    ForgedAnswer,
    LimitExceeded,
    Limits,
    Outcome,
    ProcessSandbox,
    Sandbox,
    UserCodeError,
    WorkerSandbox,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Shelf:
    """The files of a call, in memory."""

    def __init__(self, *contents: bytes, most: int = 1 << 30) -> None:
        self.contents = {hashlib.sha256(content).hexdigest(): content for content in contents}
        self.open: list[bytearray] = []
        self.reads = 0
        self.left = most

    def inputs(self) -> list[dict[str, Any]]:
        return [
            {"$blob": blob, "size": len(content), "type": "text/csv", "name": f"{number}.csv"}
            for number, (blob, content) in enumerate(self.contents.items())
        ]

    async def read(self, blob: str, start: int, size: int) -> bytes:
        self.reads += 1
        if blob not in self.contents:
            raise OSError("the file is not among the inputs")
        return self.contents[blob][start : start + size]

    async def create(self, name: str, type: str | None) -> int:
        self.open.append(bytearray())
        return len(self.open) - 1

    async def write(self, number: int, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            raise LimitExceeded("file_bytes", 1)
        self.open[number] += data
        await asyncio.sleep(0)

    async def finish(self, number: int) -> dict[str, Any]:
        content = bytes(self.open[number])
        return {"$blob": hashlib.sha256(content).hexdigest(), "size": len(content), "type": "text/csv", "name": "new"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["process", "restricted", "trusted"])
async def box(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    limits = Limits(timeout=120, cpu_seconds=60)
    made: Sandbox = (
        ProcessSandbox(ceiling=limits) if request.param == "process" else WorkerSandbox(request.param, ceiling=limits)
    )
    await made.start()
    yield made
    await made.close()


async def run(box: Sandbox, code: str, shelf: Shelf, **inputs: Any) -> Outcome:
    limits = Limits(timeout=120, cpu_seconds=60)
    return await box.call(Call(code, {"files": shelf.inputs(), **inputs}, limits, files=shelf), "one")


async def test_a_file_is_read_as_text_bytes_and_lines(box: Sandbox) -> None:
    shelf = Shelf("\ufeffid,name\n1,Zoë\n2,Ann\n".encode())
    code = """
file = inputs["files"][0]
with file.open("rb") as f:
    f.seek(-4, 2)
    tail = f.read()
with file.open(encoding="utf-8-sig") as f:
    lines = [line.strip() for line in f]
return {"tail": tail.decode(), "lines": lines, "text": file.text()[:7], "size": file.size, "name": file.name}
"""
    outcome = await run(box, code, shelf)
    assert outcome.unwrap() == {
        "tail": "Ann\n",
        "lines": ["id,name", "1,Zoë", "2,Ann"],
        "text": "id,name",
        "size": 24,
        "name": "0.csv",
    }


async def test_a_large_file_is_read_in_blocks(box: Sandbox) -> None:
    shelf = Shelf(b"0123456789abcde\n" * (1 << 20))
    code = """
count = 0
with inputs["files"][0].open("rb") as f:
    while True:
        block = f.read(65536)
        if not block:
            break
        count = count + block.count(b"\\n")
return count
"""
    assert (await run(box, code, shelf)).unwrap() == 1 << 20
    assert 64 <= shelf.reads < 80


async def test_files_are_made_and_returned_with_those_of_the_inputs(box: Sandbox) -> None:
    shelf = Shelf(b"old")
    code = """
with files.create("new.csv", type="text/csv") as out:
    out.write("a,b\\n")
    out.write(b"1,2\\n")
    out.write("x" * 600000)
return {"made": out, "given": inputs["files"][0]}
"""
    value = (await run(box, code, shelf)).unwrap()
    content = b"a,b\n1,2\n" + b"x" * 600_000
    assert value["made"]["$blob"] == hashlib.sha256(content).hexdigest()
    assert value["given"] == shelf.inputs()[0]


async def test_csv_goes_in_and_out(box: Sandbox) -> None:
    if box.layers().backend == "restricted":
        pytest.skip("its modules do not include csv")
    shelf = Shelf(b"n\n1\n2\n3\n")
    code = """
import csv
out = files.create("doubled.csv")
writer = csv.writer(out)
with inputs["files"][0].open(newline="") as f:
    for row in csv.DictReader(f):
        writer.writerow([int(row["n"]) * 2])
return out
"""
    value = (await run(box, code, shelf)).unwrap()
    assert value["$blob"] == hashlib.sha256(b"2\r\n4\r\n6\r\n").hexdigest()


async def test_what_is_refused_reaches_the_code_as_an_error(box: Sandbox) -> None:
    code = """
try:
    inputs["other"].read()
except OSError as error:
    return str(error)
"""
    other = {"$blob": "0" * 64, "size": 5, "type": "text/plain", "name": "x"}
    assert (await run(box, code, Shelf(), other=other)).unwrap() == "the file is not among the inputs"
    failure = (await run(box, "return inputs['files'][0].open('w')", Shelf(b"x"))).failure
    assert isinstance(failure, UserCodeError)
    assert "files.create" in failure.message


async def test_more_than_the_limit_ends_the_call(box: Sandbox) -> None:
    code = "out = files.create('big')\nfor _ in range(100):\n    out.write('x' * 100000)\nreturn out"
    failure = (await run(box, code, Shelf(most=1_000_000))).failure
    assert isinstance(failure, LimitExceeded)
    assert failure.limit == "file_bytes"


async def test_the_clock_goes_on_after_files(box: Sandbox) -> None:
    code = "x = inputs['files'][0].read()\nwhile True:\n    pass"
    call = Call(code, {"files": Shelf(b"x").inputs()}, Limits(timeout=0.5, cpu_seconds=5), files=Shelf(b"x"))
    failure = (await box.call(call, "clock")).failure
    assert isinstance(failure, LimitExceeded)
    assert failure.limit == "timeout"


async def test_a_store_that_fails_ends_the_call_with_its_error(box: Sandbox) -> None:
    class Broken(Shelf):
        async def read(self, blob: str, start: int, size: int) -> bytes:
            raise RuntimeError("the store is gone")

    with pytest.raises(RuntimeError, match="the store is gone"):
        await run(box, "return inputs['files'][0].text()", Broken(b"x"))
    assert (await run(box, "return 1", Shelf())).unwrap() == 1


FORGED = """
import json
channel = files._channel
send = channel._send
def say(value):
    send(json.dumps(value).encode())
%s
return 1
"""


@pytest.mark.parametrize(
    "attack",
    [
        "say({'file': {'do': 'read', 'blob': 7, 'start': 0, 'size': 1}})",
        "say({'file': 'all'})",
        "say({'file': {'do': 'read'}, 'value': 1})",
    ],
)
async def test_questions_that_the_runner_never_asks_are_refused(attack: str) -> None:
    box = ProcessSandbox(warm=1)
    await box.start()
    try:
        failure = (await run(box, FORGED % attack, Shelf(b"x"))).failure
        assert isinstance(failure, ForgedAnswer)
    finally:
        await box.close()


async def test_a_read_beyond_what_is_asked_of_the_host_is_refused() -> None:
    box = ProcessSandbox(warm=1)
    await box.start()
    code = """
channel, said = files._channel, inputs["files"][0]._said
answers = []
for start, size in ((-1, 1), (0, 0), (0, 1 << 40), (1 << 60, 1)):
    try:
        answers.append(channel.ask(do="read", blob=said["$blob"], start=start, size=size).decode())
    except OSError as error:
        answers.append(str(error))
return answers
"""
    try:
        no = "this cannot be done with files"
        assert (await run(box, code, Shelf(b"x"))).unwrap() == [no, no, no, ""]
    finally:
        await box.close()
