"""Runs one request after another in a child: compile, evaluate under the limits, answer."""

from __future__ import annotations

import asyncio
import builtins
import gc
import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

from . import aio, guards
from .capture import Capture, Log
from .compiling import ENTRY, compile_body, find_problems
from .faults import describe, last_line
from .files import FileChannel, Files, with_files
from .results import NotJSON, encode_result
from .timers import LimitStruck, Timers
from .wire import decode, encode

CACHED: Final = 64
SPARE: Final = 1 << 16
"""Bytes let go of when there is no more memory, so that this can be told."""
MIB: Final = 1 << 20

type Namespace = Callable[[tuple[str, ...] | None], dict[str, Any]]


class Runner:
    """Answers requests. One of these lives in each child; nothing of a call stays in it but compiled code.

    `receive`: the next frame, for answers about files. `address_space`: bytes in use before any call, None where memory
    cannot be limited. `allowed`: modules that may be imported, None for no guard at all.
    """

    def __init__(
        self,
        send: Callable[..., None],
        receive: Callable[[], bytes | None],
        timers: Timers,
        *,
        address_space: int | None,
        allowed: tuple[str, ...] | None,
        compiler: Callable[[str], CodeType] = compile_body,
        namespace: Namespace | None = None,
    ) -> None:
        self._send = send
        self._timers = timers
        self._files = FileChannel(send, receive, timers)
        self._address_space = address_space
        self._allowed = allowed
        self._compiler = compiler
        self._namespace = namespace or self._plain_namespace
        self._codes: OrderedDict[str, CodeType] = OrderedDict()
        self._recursion = sys.getrecursionlimit()
        self._digits = sys.get_int_max_str_digits()
        self._spare: bytearray | None = bytearray(SPARE)

    def answer(self, frame: bytes) -> None:
        """Read one request and send its reply.

        A request is `{"code", "inputs", "limits"}`, with `files` when there are some among the inputs, or `{"check",
        "allowed", "inputs"}`; a reply holds `value`, `fault`, `limit` or `problems`, and the log entries not sent
        before.
        """
        try:
            request = decode(frame)
        except MemoryError:
            self._send(b"{", *limit_reply(LimitStruck("memory_mb", None)), b"}")
            return
        except (ValueError, RecursionError) as error:
            self._send(encode({"fault": {"type": "InvalidInput", "message": str(error), "line": None}}))
            return
        if "check" in request:
            self._send(
                encode({"problems": find_problems(request["check"], request["allowed"], request["inputs"])[:50]})
            )
            return
        self._run(request)

    def _run(self, request: dict[str, Any]) -> None:
        limits, timers = request["limits"], self._timers
        capture = Capture(limits["stdout_bytes"], timers, self._send)
        # Soft memory limit: what this process had when it was sealed, plus what the call may have.
        base = self._address_space
        timers.tighten(None if base is None else base + limits["memory_mb"] * MIB, limits["cpu_seconds"])
        self._reset(capture)
        reply: tuple[bytes, ...]
        try:
            try:
                timers.arm(limits["timeout"], limits["cpu_seconds"])
                reply = self._guard(request, capture)
            finally:
                timers.disarm()
        except LimitStruck as struck:
            reply = limit_reply(struck)
        timers.stop()
        if timers.struck:
            reply = limit_reply(timers.struck)
        sys.stdout = sys.stderr = None
        self._send(b'{"logs":', capture.finish(), b",", *reply, b"}")

    def _guard(self, request: dict[str, Any], capture: Capture) -> tuple[bytes, ...]:
        """Evaluate and put every end that the code may come to into words, while the clocks still run."""
        try:
            payload = self._evaluate(request, capture)
        except LimitStruck:
            raise
        except MemoryError as error:
            line = last_line(error)
            error.__traceback__ = error.__context__ = error.__cause__ = None
            self._spare = None
            return limit_reply(LimitStruck("memory_mb", line))
        except NotJSON as error:
            return (b'"fault":', encode({"type": "NotJSON", "message": str(error), "line": None, "frames": []}))
        except BaseException as error:
            if self._timers.struck:
                raise self._timers.struck from None
            return (b'"fault":', encode(self._describe(error)))
        ceiling = request["limits"]["result_bytes"]
        if len(payload) > ceiling:
            detail = {"limit": "result_bytes", "line": None, "size": len(payload)}
            return (b'"limit":', encode(detail))
        return (b'"value":', payload)

    @staticmethod
    def _describe(error: BaseException) -> dict[str, Any]:
        try:
            return describe(error)
        except LimitStruck:
            raise
        except BaseException:  # its class, text or links raise when looked at
            return {"type": "Exception", "message": "(an exception that cannot be described)", "line": None}

    def _evaluate(self, request: dict[str, Any], capture: Capture) -> bytes:
        names: dict[str, Any] = {"__name__": ENTRY, "__builtins__": self._namespace(self._allowed)}
        try:
            exec(self._compiled(request["code"]), names)  # noqa: S102 - this is the place it is all about
            inputs = request.pop("inputs")
            if request.get("files"):
                inputs = with_files(inputs, self._files)
            value = names.pop(ENTRY)(inputs, Log(capture), Files(self._files))
            if inspect.iscoroutine(value):
                loop = aio.BoxLoop()
                self._timers.waiting_frame = loop.waiting_frame
                value = aio.run_coroutine(loop, value)
            payload = encode_result(value)
            # Finalisers of the author's run here, where the clocks see them.
            value = None
            return payload
        finally:
            names.clear()
            self._timers.waiting_frame = None

    def _compiled(self, source: str) -> CodeType:
        code = self._codes.get(source)
        if code is None:
            code = self._codes[source] = self._compiler(source)
            if len(self._codes) > CACHED:
                self._codes.popitem(last=False)
        else:
            self._codes.move_to_end(source)
        return code

    @staticmethod
    def _plain_namespace(allowed: tuple[str, ...] | None) -> dict[str, Any]:
        return dict(vars(builtins)) if allowed is None else guards.guarded_builtins(allowed)

    def _reset(self, capture: Capture) -> None:
        """Undo what an earlier call of the same execution may have set."""
        sys.stdout = sys.stderr = capture
        sys.setrecursionlimit(self._recursion)
        sys.set_int_max_str_digits(self._digits)
        asyncio.set_event_loop(None)
        if not gc.isenabled():
            gc.enable()


def limit_reply(struck: LimitStruck) -> tuple[bytes, ...]:
    """A struck limit as part of a reply."""
    return (b'"limit":', encode({"limit": struck.limit, "line": struck.line}))
