"""python.code over files that are really kept, inside of an execution."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import File, NodeError
from aicflow.testing import RecordingContext, run_node
from aicflow_python import PythonCode
from aicflow_python.sandbox import Limits
from aicflow_python.settings import PythonSettings


async def run(ctx: RecordingContext, node: PythonCode, code: str, **inputs: Any) -> Any:
    return await run_node(PythonCode, {"code": code, "inputs": inputs}, instance=node, context=ctx)


@pytest.fixture
async def node() -> Any:
    started = PythonCode(PythonSettings(ceiling=Limits(timeout=120, cpu_seconds=60, file_bytes=3 << 20), warm=1))
    await started.start()
    yield started
    await started.stop()


CODE = """
import csv
with inputs["file"].open(newline="") as source, files.create("sums.csv") as out:
    writer = csv.writer(out)
    for row in csv.DictReader(source):
        writer.writerow([row["id"], int(row["a"]) + int(row["b"])])
return {"sums": out, "source": inputs["file"], "again": [out]}
"""


async def test_a_file_comes_in_and_another_one_goes_out(node: PythonCode) -> None:
    ctx = RecordingContext()
    content = b"id,a,b\n" + b"".join(b"%d,%d,1\n" % (n, n) for n in range(20_000))
    file = (await ctx.files.write(content, name="in.csv", type="text/csv")).model_dump()
    output = await run(ctx, node, CODE, file=file)
    assert output["source"] == file
    assert output["again"] == [output["sums"]]
    made = File.model_validate(output["sums"])
    assert (made.name, made.type) == ("sums.csv", "text/csv")
    kept = b"".join([chunk async for chunk in ctx.files.read(made)])
    assert kept == b"".join(b"%d,%d\r\n" % (n, n + 1) for n in range(20_000))


@pytest.mark.parametrize(
    ("code", "error_code", "message"),
    [
        ("out = files.create('x')\nwhile True:\n    out.write('y' * 100_000)", "limit-exceeded", "file_bytes: 3145728"),
        ("out = files.create('x')\nout.write('y' * 1000)\nraise KeyError('k')", "code-raised", "KeyError"),
        ("return [files.create(str(n)) for n in range(40)]", "code-raised", "more than 32 files are open"),
        ("return inputs['gone'].text()", "file-not-found", "There is no file"),
        ("open('/etc/passwd')", "code-raised", "files.create() makes new ones"),
    ],
)
async def test_what_fails_leaves_nothing(node: PythonCode, code: str, error_code: str, message: str) -> None:
    ctx = RecordingContext()
    gone = {"$blob": "0" * 64, "size": 3, "type": "text/plain", "name": "x"}
    with pytest.raises(NodeError) as error:
        await run(ctx, node, code, gone=gone)
    assert error.value.code == error_code
    assert message in error.value.message
    store: Any = ctx.files
    assert (await store._files.store.list(limit=10)).items == []
    assert await run(ctx, node, "return 1") == 1


async def test_the_code_reaches_no_file_but_those_of_its_inputs(node: PythonCode) -> None:
    ctx = RecordingContext()
    mine = (await ctx.files.write(b"mine")).model_dump()
    other = (await ctx.files.write(b"of somebody else")).sha256
    code = """
channel = inputs["file"]._channel
try:
    return channel.ask(do="read", blob=inputs["other"], start=0, size=10).decode()
except OSError as error:
    return str(error)
"""
    assert await run(ctx, node, code, file=mine, other=other) == "the file is not among the inputs"
