"""Requests out, replies in, up to the outcome of a call. Every byte of a reply is the work of a possibly hostile
process and is checked as such."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from .outcomes import (
    ForgedAnswer,
    InputRefused,
    LimitExceeded,
    LogLevel,
    LogLine,
    Outcome,
    SandboxFailure,
    Stats,
    UserCodeError,
    excerpt,
)
from .port import Call, CallFiles, Limits, OnLogs

HEADER: Final = 4
LEVELS: Final[Mapping[str, LogLevel]] = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}
LIMITS: Final = frozenset({"timeout", "cpu_seconds", "memory_mb", "stdout_bytes", "result_bytes"})
KEYS: Final = frozenset({"logs", "value", "fault", "limit", "problems", "hello", "file"})
LINE_COST: Final = 16
ESCAPED: Final = 6
"""Bytes that one byte of text may take in JSON."""
MARGIN: Final = 64 * 1024
BATCH: Final = 0.1
"""Seconds between two batches of log lines, at the least."""
SPARE_FRAMES: Final = 20
FILE_BLOCK: Final = 1 << 18
FILE_FRAME: Final = FILE_BLOCK + 1024
"""Bytes of a frame that asks about files, or hands over a block of one, at the most."""


class Forged(Exception):
    """A reply that the runner would never send."""


def encode_request(call: Call, limits: Limits) -> bytes:
    """The frame that asks a child to run this. Raises InputRefused or LimitExceeded."""
    try:
        inputs = to_json(call.inputs, inf_nan_mode="constants")
        head = to_json({"code": call.code, "limits": limits})
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InputRefused(f"The inputs are not JSON: {error}") from None
    if len(inputs) > limits.input_bytes:
        raise LimitExceeded("input_bytes", limits.input_bytes, actual=len(inputs))
    files = b',"files":true' if b'"$blob"' in inputs and call.files is not None else b""
    return framed(head[:-1] + files + b',"inputs":' + inputs + b"}")


def encode_check(code: str, allowed: Sequence[str] | None, inputs: Sequence[str] | None) -> bytes:
    """The frame that asks for what can be seen without running."""
    return framed(to_json({"check": code, "allowed": allowed, "inputs": inputs}))


def framed(body: bytes) -> bytes:
    """The body behind its length."""
    return len(body).to_bytes(HEADER) + body


class Frames:
    """Cuts what comes back into frames, within a budget of bytes and of frames. `rest` is the part of a frame that has
    come so far."""

    def __init__(self, budget: int, count: int = 1) -> None:
        self.rest = bytearray()
        self._budget = budget
        self._count = count

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The replies that are complete now. Raises Forged."""
        self._budget -= len(data)
        if self._budget < 0:
            raise Forged("bytes came that nobody asked for")
        rest, replies = self.rest, []
        rest += data
        while (size := len(rest)) >= HEADER:
            end = HEADER + int.from_bytes(rest[:HEADER])
            if size < end:
                if end - size > self._budget:
                    raise Forged("a frame is announced that is longer than the limits allow")
                break
            self._count -= 1
            if self._count < 0:
                raise Forged("more frames came than the runner ever sends")
            reply = block_in(rest[HEADER:end]) or read_reply(rest[HEADER:end])
            replies.append(reply)
            if "file" in reply and end <= FILE_FRAME:  # as many as it likes: it waits for each answer
                self._budget += end
                self._count += 1
            del rest[:end]
        return replies


class Replies:
    """What comes back for one call: log lines, handed on as they come, and in the end a value or a failure. `asked` is
    what the code wants to know of files: it waits until `answered`."""

    def __init__(self, call: Call, limits: Limits, on_logs: OnLogs | None) -> None:
        self.value: Any = None
        self.failure: SandboxFailure | None = None
        self.asked: dict[str, Any] | None = None
        self._logs: list[LogLine] = []
        self._call = call
        self._limits = limits
        self._on_logs = on_logs
        self._meter = Logs(limits.stdout_bytes)
        self._frames = Frames(
            allowance(limits) + (FILE_FRAME if call.files else 0), int(limits.timeout / BATCH) + SPARE_FRAMES
        )

    def feed(self, data: bytes) -> bool:
        """Whether the call has ended. Raises what `on_logs` raises, nothing else."""
        known = len(self._logs)
        try:
            ended = self._read(data)
        except Exception as error:  # whatever a hostile frame provokes
            why = str(error) if isinstance(error, Forged) else f"a frame could not be read ({type(error).__name__})"
            self.value, self.failure = None, ForgedAnswer(f"The sandbox's answer was refused: {why}.")
            ended = True
        if self._on_logs and len(self._logs) > known:
            self._on_logs(tuple(self._logs[known:]))
        return ended

    async def answer(self) -> bytes:
        """The frame that answers what was asked. Raises what ends the call."""
        asked, files = self.asked, self._call.files
        assert asked is not None
        if files is None:
            said: bytes | str = "there are no files here"
        else:
            try:
                said = await file_answer(files, asked)
            except OSError as error:
                said = str(error)
        self.asked = None
        return framed(b"\0" + said if isinstance(said, bytes) else b"!" + said.encode("utf-8", "replace"))

    def outcome(self, stats: Stats) -> Outcome:
        """How the call ended."""
        return Outcome(self.value, self.failure, tuple(self._logs), stats)

    def _read(self, data: bytes) -> bool:
        ended = False
        for reply in self._frames.feed(data):
            if ended or self.asked is not None:
                raise Forged("bytes follow the reply")
            if "file" in reply:
                self.asked = question_in(reply)
                continue
            if "logs" in reply:
                self._logs += self._meter.read(reply["logs"])
                if len(reply) == 1:
                    continue
            self.failure = failure_in(reply, self._call, self._limits)
            self.value = reply.get("value")
            ended = True
        if (ended or self.asked is not None) and self._frames.rest:
            raise Forged("bytes follow the reply")
        return ended


def question_in(reply: Mapping[str, Any]) -> dict[str, Any]:
    """What the code wants of its files. Raises Forged."""
    question = reply["file"]
    if len(reply) != 1 or type(question) is not dict:
        raise Forged("a question about files has the wrong shape")
    shape = {name: type(value) for name, value in question.items()}
    if shape not in QUESTIONS:
        raise Forged("a question about files has the wrong shape")
    return question


QUESTIONS: Final = (
    {"do": str, "blob": str, "start": int, "size": int},
    {"do": str, "name": str, "type": type(None)},
    {"do": str, "name": str, "type": str},
    {"do": str, "number": int, "data": bytes},
    {"do": str, "number": int},
)


def block_in(frame: bytes | bytearray) -> dict[str, Any] | None:
    """A block for a new file, if the frame is one: a zero, four bytes of the file's number, the block."""
    if frame[:1] != b"\0":
        return None
    return {"file": {"do": "write", "number": int.from_bytes(frame[1:5]), "data": bytes(frame[5:])}}


async def file_answer(files: CallFiles, asked: Mapping[str, Any]) -> bytes:
    """What is answered to a question. Raises OSError for what the code is told, and what ends the call."""
    match asked:
        case {"do": "read", "blob": blob, "start": start, "size": size} if start >= 0 and 0 < size <= FILE_BLOCK:
            return await files.read(blob, start, size)
        case {"do": "create", "name": name, "type": type}:
            return to_json(await files.create(name[:200], type))
        case {"do": "write", "number": number, "data": data}:
            await files.write(number, data)
            return b""
        case {"do": "finish", "number": number}:
            return to_json(await files.finish(number))
    raise OSError("this cannot be done with files")


def allowance(limits: Limits) -> int:
    """Bytes that one call may send back at most, all frames together."""
    return limits.result_bytes + ESCAPED * limits.stdout_bytes + (limits.stdout_bytes // LINE_COST) * 24 + MARGIN


def read_reply(frame: bytes | bytearray) -> dict[str, Any]:
    """A reply as a mapping with known keys. Raises Forged."""
    try:
        reply = from_json(frame, allow_inf_nan=False)
    except ValueError as error:
        raise Forged(f"a frame is not JSON: {error}") from None
    if type(reply) is not dict or not KEYS.issuperset(reply):
        raise Forged("a frame is not a reply")
    # JSON can spell numbers that a float cannot hold. Writing the reply out again is quicker than walking through it;
    # the word may of course stand in a text.
    if b"Infinity" in to_json(reply, inf_nan_mode="constants") and not finite(reply):
        raise Forged("a number in the reply has no finite value")
    return reply


def finite(value: Any) -> bool:
    """Whether every number in the value is finite."""
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is float:
            if not math.isfinite(item):
                return False
        elif type(item) is list:
            pending.extend(item)
        elif type(item) is dict:
            pending.extend(item.values())
    return True


@dataclass(slots=True)
class Logs:
    """Log lines of one call, counted again on this side."""

    limit: int
    used: int = 0

    def read(self, raw: Any) -> tuple[LogLine, ...]:
        """Check and count a batch. Raises Forged."""
        if type(raw) is not list:
            raise Forged("log lines are not a list")
        return tuple(map(self._line, raw))

    def _line(self, raw: Any) -> LogLine:
        if type(raw) is not list or len(raw) not in (2, 3):
            raise Forged("a log line is not a list of two or three")
        level = LEVELS.get(raw[0]) if type(raw[0]) is str else None
        message = raw[1]
        fields = raw[2] if len(raw) == 3 else None
        if level is None or type(message) is not str or type(fields) not in (dict, type(None)):
            raise Forged("a log line has the wrong shape")
        self.used += len(message) + (len(to_json(fields)) if fields else 0) + LINE_COST
        # The child counts a line before it keeps it; one unfinished line may come on top.
        if self.used > self.limit + 2 * LINE_COST:
            raise Forged("more log lines than the limit allows")
        return LogLine(level, message, fields)


def failure_in(reply: Mapping[str, Any], call: Call, limits: Limits) -> SandboxFailure | None:
    """What the reply says went wrong; None when it carries a value. Raises Forged."""
    if "value" in reply:
        return None
    if "limit" in reply:
        return limit_in(reply["limit"], call, limits)
    if "fault" in reply:
        return fault_in(reply["fault"], call)
    raise Forged("a reply has neither value nor fault")


def limit_in(raw: Any, call: Call, limits: Limits) -> LimitExceeded:
    """A limit that the child reports."""
    if type(raw) is not dict or type(raw.get("limit")) is not str or raw["limit"] not in LIMITS:
        raise Forged("a limit has the wrong shape")
    line, size = line_in(raw.get("line"), call), raw.get("size")
    return LimitExceeded(
        raw["limit"],
        getattr(limits, raw["limit"]),
        line=line,
        excerpt=excerpt(call.code, line),
        actual=size if type(size) is int and size < 1 << 40 else None,
    )


def fault_in(raw: Any, call: Call) -> SandboxFailure:
    """An error of the author's code."""
    if type(raw) is not dict:
        raise Forged("a fault has the wrong shape")
    name, message = text_in(raw.get("type"), 200), text_in(raw.get("message"), 8000)
    if name == "InvalidInput":
        return InputRefused(f"The inputs are not JSON: {message}")
    line = line_in(raw.get("line"), call)
    column = raw.get("column")
    return UserCodeError(
        name,
        message,
        line=line,
        column=column if type(column) is int and 0 < column < 1 << 20 else None,
        excerpt=excerpt(call.code, line),
        frames=frames_in(raw.get("frames"), call),
        cause=cause_in(raw.get("cause")),
        bases=bases_in(raw.get("bases")),
    )


def bases_in(raw: Any) -> tuple[str, ...]:
    """Names of the exception's class and its bases."""
    return tuple(text_in(name, 200) for name in raw[:40]) if type(raw) is list else ()


def frames_in(raw: Any, call: Call) -> tuple[tuple[int, str], ...]:
    """Frames of the author's code."""
    if type(raw) is not list:
        return ()
    frames = []
    for item in raw[:40]:
        if type(item) is not list or len(item) != 2:
            raise Forged("a frame has the wrong shape")
        line = line_in(item[0], call)
        if line is not None:
            frames.append((line, text_in(item[1], 200)))
    return tuple(frames)


def cause_in(raw: Any) -> str | None:
    """What an error was raised from, in one line."""
    if type(raw) is not dict:
        return None
    return f"{text_in(raw.get('type'), 200)}: {text_in(raw.get('message'), 2000)}"


def text_in(raw: Any, limit: int) -> str:
    """Text of bounded length. Raises Forged."""
    if type(raw) is not str:
        raise Forged("text was expected")
    return raw if len(raw) <= limit else f"{raw[:limit]}…"  # the mark says where the beginning of a secret may be


def line_in(raw: Any, call: Call) -> int | None:
    """A line number of the author's code, or None."""
    return raw if type(raw) is int and 1 <= raw <= call.code.count("\n") + 1 else None
