"""Files of executions: nodes write and read them, executions hold them, and the sweep takes what nobody needs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from aicflow import Context, File, Node, Output, Params, PermanentError
from aicflow.testing import RecordingContext, run_node, run_workflow


class Text(Params):
    text: str


class Made(Output):
    file: File


class Write(Node[Text, Made]):
    """Write a text to a file."""

    type_id = "test.write_file"

    async def run(self, ctx: Context, params: Text) -> Made:
        async def lines() -> AsyncIterator[bytes]:
            for line in params.text.splitlines(keepends=True):
                yield line.encode()

        return Made(file=await ctx.files.write(lines(), name="../notes.txt"))


class Given(Params):
    file: File


class Size(Output):
    text: str
    size: int
    by_path: str


class Read(Node[Given, Size]):
    """Read a text from a file."""

    type_id = "test.read_file"

    async def run(self, ctx: Context, params: Given) -> Size:
        text = b"".join([data async for data in ctx.files.read(params.file)])
        async with ctx.files.path(params.file) as path:
            return Size(text=text.decode(), size=params.file.size, by_path=path.read_text())


DOCUMENT = {
    "aicflow": 1,
    "name": "Files",
    "nodes": [
        {"id": "write", "type": "test.write_file", "params": {"text": "${{ input.text }}"}},
        {"id": "read", "type": "test.read_file", "params": {"file": "${{ nodes.write.output.file }}"}},
    ],
    "edges": [{"from": "write", "to": "read"}],
    "output": {"size": "${{ nodes.write.output.file.size }}", "read": "${{ nodes.read.output }}"},
}


@pytest.mark.parametrize("engine", ["native", "langgraph"])
async def test_one_node_writes_a_file_and_another_reads_it(engine: str) -> None:
    result = await run_workflow(DOCUMENT, {"text": "one\ntwo\n"}, nodes=[Write, Read], engine=engine)
    assert result.error is None
    assert result.output == {"size": 8, "read": {"text": "one\ntwo\n", "size": 8, "by_path": "one\ntwo\n"}}
    assert result.steps["write"].output == {
        "file": {
            "$blob": hashlib.sha256(b"one\ntwo\n").hexdigest(),
            "size": 8,
            "type": "text/plain",
            "name": "notes.txt",
        }
    }


async def test_a_node_is_tested_with_files_by_itself() -> None:
    context = RecordingContext()
    made = await run_node(Write, {"text": "hello"}, context=context)
    read = await run_node(Read, {"file": made["file"]}, context=context)
    assert read["text"] == "hello"
    part = [data async for data in context.files.read(File.model_validate(made["file"]), start=1, end=3)]
    assert part == [b"el"]
    with pytest.raises(PermanentError, match="There is no file"):
        await run_node(Read, {"file": {"$blob": "0" * 64, "size": 1}}, context=context)
