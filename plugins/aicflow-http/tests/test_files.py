"""Responses that become files, and files that are sent: what is cut off, too large, redirected, tried again or refused
early, and how much memory it takes."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aicflow import File, PermanentError, TransientError
from aicflow.language.validation import validate
from aicflow.testing import RecordingContext
from aicflow_http import HttpRequest
from http_kit import Asked, Handler, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]
AS_FILE = {"as": "file"}
MIB = 1 << 20


def answering(body: bytes, headers: Mapping[str, str] | None = None, **more: Any) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(body=body, headers=headers or {}, **more)
        if more:
            talk.cut()

    return handler


@asynccontextmanager
async def speaking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a server that does what `talk` says, byte by byte."""
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def content_of(ctx: RecordingContext, file: dict[str, Any]) -> bytes:
    return b"".join([chunk async for chunk in ctx.files.read(File.model_validate(file))])


async def big(size: int) -> AsyncIterator[bytes]:
    """That many bytes, a MiB at a time."""
    for number in range(size // MIB):
        yield number.to_bytes(4) * (MIB // 4)


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_a_response_becomes_a_file(send: Send) -> None:
    ctx = RecordingContext()
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": "attachment; filename*=utf-8''m%C3%A4rz.csv",
    }
    async with serving(answering(b"a,b\n1,2\n", headers)) as server:
        output = await send(ctx, url=server.url("/x/export?y=1"), response=AS_FILE)
        named = await send(ctx, url=server.url(), response={"as": "file", "name": "mine.csv"})
    assert output["body_type"] == "file"
    assert output["size"] == 8
    assert output["body"] == {
        "$blob": hashlib.sha256(b"a,b\n1,2\n").hexdigest(),
        "size": 8,
        "type": "text/csv",
        "name": "märz.csv",
    }
    assert named["body"]["name"] == "mine.csv"
    assert await content_of(ctx, output["body"]) == b"a,b\n1,2\n"


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/a/report%20may.pdf", "", "report may.pdf"),
        ("/", "", "download"),
        ("/x", 'attachment; filename="../../etc/passwd"', "passwd"),
        ("/x", 'attachment; filename="C:\\\\evil.exe"', "evil.exe"),
    ],
)
async def test_its_name_is_the_servers_without_a_path(send: Send, path: str, disposition: str, name: str) -> None:
    async with serving(answering(b"x", {"Content-Disposition": disposition} if disposition else {})) as server:
        assert (await send(url=server.url(path), response=AS_FILE))["body"]["name"] == name


async def test_what_is_compressed_is_kept_as_it_is_meant(send: Send) -> None:
    ctx = RecordingContext()
    content = b"0123456789" * 100_000
    async with serving(answering(gzip.compress(content), {"Content-Encoding": "gzip"})) as server:
        output = await send(ctx, url=server.url(), response=AS_FILE)
    assert (output["size"], output["body"]["size"]) == (1_000_000, 1_000_000)
    assert await content_of(ctx, output["body"]) == content


async def stored(ctx: RecordingContext) -> int:
    """How many files are kept."""
    return len((await ctx.files._files.store.list(limit=100)).items)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("handler", "options", "kind", "code"),
    [
        (answering(b"x" * 5_000, length=10_000), {}, TransientError, "http-cut"),
        (answering(gzip.compress(b"x" * 50_000)[:-20], {"Content-Encoding": "gzip"}), {}, TransientError, "http-cut"),
        (answering(b"x" * 5_000, {"Content-Encoding": "gzip"}), {}, PermanentError, "http-encoding"),
        (answering(b"x" * 5_000), {"max_file_bytes": 4_999}, PermanentError, "http-too-large"),
        (answering(gzip.compress(b"0" * MIB), {"Content-Encoding": "gzip"}), {"max_file_bytes": 9_999}, PermanentError,
         "http-too-large"),
        (answering(b"sorry", status=500), {}, TransientError, "http-status"),
        (answering(b"sorry", status=404), {}, PermanentError, "http-status"),
    ],
    ids=["cut", "cut gzip", "no gzip", "large", "bomb", "500", "404"],
)  # fmt: skip
async def test_nothing_is_kept_of_what_is_not_whole(
    send: Send, handler: Handler, options: dict[str, Any], kind: type[Exception], code: str
) -> None:
    ctx = RecordingContext()
    async with serving(handler) as server:
        with pytest.raises(kind) as error:
            await send(ctx, url=server.url(), response={**AS_FILE, **options})
    assert getattr(error.value, "code", None) == code
    assert await stored(ctx) == 0


async def test_only_the_end_of_redirects_becomes_a_file(send: Send) -> None:
    ctx = RecordingContext()

    async def handler(asked: Asked, talk: Talk) -> None:
        if asked.path == "/start":
            await talk.answer(302, "moved", {"Location": other.url("/end.bin")})
        else:
            await talk.answer(200, b"here")

    async with serving(handler) as other, serving(handler) as server:
        output = await send(ctx, url=server.url("/start"), response=AS_FILE)
        assert (output["body"]["name"], output["redirects"]) == ("end.bin", 1)
        asis = await send(ctx, url=server.url("/start"), response=AS_FILE, redirects={"follow": False})
        assert await content_of(ctx, asis["body"]) == b"moved"


async def test_the_guard_holds(send: Send) -> None:
    async with serving(answering(b"x")) as server:
        with pytest.raises(PermanentError) as error:
            await send(url=f"http://127.0.0.2:{server.port}/", response=AS_FILE)
    assert error.value.code == "http-refused"


async def test_a_file_is_sent_as_the_body(send: Send) -> None:
    ctx = RecordingContext()
    content = b"".join([piece async for piece in big(3 * MIB)])
    file = (await ctx.files.write(content, name="a.csv", type="text/csv")).model_dump()
    async with serving(answering(b"ok")) as server:
        await send(ctx, url=server.url(), method="PUT", body={"type": "raw", "file": file})
        asked = server.asked[0]
    assert asked.body == content
    assert asked.headers["content-type"] == "text/csv"
    assert asked.headers["content-length"] == str(3 * MIB)
    assert "transfer-encoding" not in asked.headers


async def test_files_and_fields_are_sent_as_a_form(send: Send) -> None:
    from email import message_from_bytes

    ctx = RecordingContext()
    file = (await ctx.files.write(b"x" * 2 * MIB, name='a "b".csv', type="text/csv")).model_dump()
    parts: list[dict[str, Any]] = [
        {"name": "title", "text": "Grün"},
        {"name": "file", "file": file},
        {"name": "other", "file": file, "filename": "c.bin", "content_type": "application/x-mine"},
        {"name": "raw", "base64": "AAE=", "filename": "d.png"},
    ]
    async with serving(answering(b"ok")) as server:
        await send(ctx, url=server.url(), method="POST", body={"type": "multipart", "parts": parts})
        asked = server.asked[0]
    message = message_from_bytes(b"Content-Type: " + asked.headers["content-type"].encode() + b"\r\n\r\n" + asked.body)
    found = [
        (part.get_param("name", header="content-disposition"), part.get_filename(), part.get("content-type"))
        for part in message.get_payload()  # type: ignore[union-attr]
    ]
    assert found == [
        ("title", None, None),
        ("file", "a %22b%22.csv", "text/csv"),
        ("other", "c.bin", "application/x-mine"),
        ("raw", "d.png", "image/png"),
    ]
    contents = [part.get_payload(decode=True) for part in message.get_payload()]  # type: ignore[union-attr]
    assert contents == ["Grün".encode(), b"x" * 2 * MIB, b"x" * 2 * MIB, b"\0\1"]


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirected_upload_sends_the_file_anew(send: Send, status: int) -> None:
    ctx = RecordingContext()
    file = (await ctx.files.write(b"y" * 2 * MIB)).model_dump()

    async def handler(asked: Asked, talk: Talk) -> None:
        if asked.path == "/start":
            await talk.answer(status, "moved", {"Location": "/end"})
        else:
            await talk.answer(200, "arrived")

    async with serving(handler) as server:
        await send(ctx, url=server.url("/start"), method="POST", body={"type": "raw", "file": file})
    assert [asked.body == b"y" * 2 * MIB for asked in server.asked] == [True, True]


async def test_an_upload_over_a_stale_connection_sends_the_file_from_its_beginning(send: Send) -> None:
    ctx = RecordingContext()
    file = (await ctx.files.write(b"z" * 2 * MIB)).model_dump()

    async def handler(asked: Asked, talk: Talk) -> None:
        if len(server.asked) == 2:
            talk.cut()  # the kept connection breaks when it is used again
            return
        await talk.answer(200, "ok")

    async with serving(handler) as server:
        for _ in range(2):
            await send(ctx, url=server.url(), method="PUT", body={"type": "raw", "file": file})
    assert [asked.body == b"z" * 2 * MIB for asked in server.asked] == [True, True, True]


async def test_a_server_that_refuses_early_is_heard(send: Send) -> None:
    """It says 413 after the head and reads no more: the rest is neither sent nor kept in memory."""
    ctx = RecordingContext()
    file = (await ctx.files.write(big(64 * MIB))).model_dump()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await asyncio.sleep(30)

    async with speaking(talk) as url:
        before = peak_kb()
        with pytest.raises(PermanentError, match="answered 413"):
            await send(ctx, url=url, method="PUT", body={"type": "raw", "file": file})
        assert peak_kb() - before < 30_000


async def test_interim_answers_do_not_stop_an_upload(send: Send) -> None:
    ctx = RecordingContext()
    file = (await ctx.files.write(big(32 * MIB))).model_dump()
    got = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.3)  # until the sender has to wait
        size = 0
        while size < 32 * MIB:
            size += len(await reader.read(MIB))
        got.set_result(size)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with speaking(talk) as url:
        output = await send(ctx, url=url, method="PUT", body={"type": "raw", "file": file})
    assert (output["status"], await got) == (200, 32 * MIB)


async def test_a_file_that_is_gone_fails_the_step(send: Send) -> None:
    file = {"$blob": "0" * 64, "size": 10, "type": "text/plain", "name": "x"}
    async with serving(answering(b"ok")) as server:
        with pytest.raises(PermanentError) as error:
            await send(url=server.url(), method="PUT", body={"type": "raw", "file": file})
    assert error.value.code == "file-not-found"


async def test_a_signature_covers_a_file_by_its_hash(send: Send) -> None:
    import hmac

    ctx = RecordingContext()
    file = (await ctx.files.write(b"signed")).model_dump()
    auth = {"type": "hmac", "secret": "k", "parts": ["body_sha256"]}
    async with serving(answering(b"ok")) as server:
        await send(ctx, url=server.url(), method="PUT", body={"type": "raw", "file": file}, auth=auth)
        whole = {"type": "hmac", "secret": "k"}
        with pytest.raises(PermanentError, match="cannot be signed"):
            await send(ctx, url=server.url(), method="PUT", body={"type": "raw", "file": file}, auth=whole)
        expected = hmac.new(b"k", hashlib.sha256(b"signed").hexdigest().encode(), "sha256").hexdigest()
        assert server.asked[0].headers["x-signature"] == expected


async def test_the_memory_stays_flat(send: Send) -> None:
    """96 MiB come and go; a tenth of that would show if they were held."""
    ctx = RecordingContext()
    size = 96 * MIB
    received = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            async for piece in big(size):
                writer.write(piece)
                await writer.drain()
        else:
            while received < size:
                received += len(await reader.read(MIB))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with speaking(talk) as url:
        await send(ctx, url=url, response={"as": "file", "max_file_bytes": size})
        before = peak_kb()
        output = await send(ctx, url=url, response=AS_FILE)
        received = 0
        await send(ctx, url=url, method="PUT", body={"type": "raw", "file": output["body"]})
        assert received == size
        assert peak_kb() - before < 9_600


def test_the_output_is_typed_by_the_option() -> None:
    from aicflow.kernel.registry import Registry

    registry = Registry()
    registry.register(HttpRequest)
    schema = HttpRequest.output_schema_for({"response": {"as": "file"}})
    assert schema is not None
    assert schema["properties"]["body"]["properties"]["$blob"]

    def issues(value: str) -> list[str]:
        nodes = [
            {"id": "get", "type": "http.request", "params": {"url": "https://a.example/", "response": AS_FILE}},
            {
                "id": "put",
                "type": "http.request",
                "params": {"url": "https://b.example/", "method": "PUT", "body": {"type": "raw", "file": value}},
            },
        ]
        document = {"aicflow": 1, "name": "x", "nodes": nodes, "edges": [{"from": "get", "to": "put"}]}
        return [issue.code for issue in validate(document, registry)]

    assert issues("${{ nodes.get.output.body }}") == []
    assert issues("${{ nodes.get.output.headers }}") != []
    assert issues("${{ nodes.get.output.body.nmae }}") != []


async def test_options_that_exclude_each_other(send: Send) -> None:
    for params in (
        {"response": {"as": "file", "on_too_large": "truncate"}},
        {"body": {"type": "raw", "text": "x", "file": {"$blob": "0" * 64, "size": 1}}},
        {"body": {"type": "raw"}},
    ):
        with pytest.raises(PermanentError):
            await send(url="http://127.0.0.1:9/", **params)
    issues = HttpRequest.check({"url": "https://a.example/", "pagination": {"type": "link"}, "response": AS_FILE})
    assert [issue.pointer for issue in issues] == ["/response/as"]
