"""The zygote: a clean process that forks sealed children when the host asks. It never sees a request."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from .aio import settle_asyncio
from .bpf import BLACK_BOX, CHANNEL
from .guards import forbid_events
from .preload import preload
from .running import Runner
from .seal import Leak, Seal, SealLimits, prefer_as_victim
from .timers import Timers
from .wire import Channel, encode

DESCRIPTORS: Final = 64
"""No descriptor number in here reaches this, so closing all below it closes all."""
WARM_UP: Final = 16
REHEARSAL: Final = (
    b'{"code": "import math\\nx = [math.sqrt(i) for i in range(9)]\\nprint(x)\\nreturn {\'x\': x, **inputs}", '
    b'"inputs": {"a": [1, 2.5, "t", null]}, "limits": {"timeout": 5, "cpu_seconds": 5, '
    b'"memory_mb": %d, "stdout_bytes": 9999, "result_bytes": 9999}}'
)


def main(argument: str, control_descriptor: str) -> None:
    """Load everything, say so, then serve the host until it goes away."""
    options: dict[str, Any] = json.loads(argument)
    extra: list[str] = options["modules"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    preload(options["zones"])
    if extra:
        sys.path[:0] = options["paths"]
        for name in extra:
            importlib.import_module(name)
    settle_asyncio()
    sys.argv, sys.orig_argv = [""], [""]
    os.environ.clear()
    if options["guards"]:
        sys.path.clear()
        sys.meta_path.clear()
        sys.path_hooks.clear()
        sys.path_importer_cache.clear()
    prefer_as_victim()
    timers = Timers()
    timers.install()
    faulthandler.enable(file=BLACK_BOX)
    faulthandler.register(signal.SIGUSR1, file=BLACK_BOX, all_threads=False)
    control = socket.socket(fileno=int(control_descriptor))
    allowed = tuple(options["allowed"]) if options["guards"] else None
    rehearsal = REHEARSAL % options["memory_mb"]
    for _ in range(WARM_UP):
        rehearse(rehearsal, timers, None, allowed)
    gc.collect()
    gc.freeze()
    seal = Seal(SealLimits(options["memory_mb"], options["cpu_seconds"]))
    control.send(json.dumps({"ready": os.getpid()}).encode())
    serve(control, Mould(seal, timers, allowed, rehearsal))


@dataclass(frozen=True, slots=True)
class Mould:
    """What every child is made from; `allowed` None takes the Python-level guards off. The first one rehearses."""

    seal: Seal
    timers: Timers
    allowed: tuple[str, ...] | None
    rehearsal: bytes | None


def serve(control: socket.socket, mould: Mould) -> None:
    """Fork on `fork`, tell how children ended, leave when the host closes."""
    bell, clapper = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(clapper, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(bell, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == bell:
                os.read(bell, 4096)
                report_ends(control)
            elif control.recv(64) == b"fork":
                fork_child(control, mould)
                mould = replace(mould, rehearsal=None)
            else:
                os._exit(0)  # the kernel ends the children with their parent


def report_ends(control: socket.socket) -> None:
    """Reap every child that has ended; tell the host how."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        control.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def fork_child(control: socket.socket, mould: Mould) -> None:
    """One child; the host gets its socket, its black box and its pidfd."""
    opened: list[int] = []
    try:
        opened += (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
        opened += os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        ours, theirs, box_out, box_in = opened
        pid = os.fork()
        if pid == 0:
            become_child(theirs, box_in, mould)
        opened.append(os.pidfd_open(pid))
        news = json.dumps({"child": pid}).encode()
        socket.send_fds(control, [news], [ours, box_out, opened[-1]])
    except OSError as error:
        control.send(json.dumps({"failed": str(error)}).encode())
    finally:
        for descriptor in opened:
            os.close(descriptor)


def become_child(channel: int, black_box: int, mould: Mould) -> NoReturn:
    """Close everything, seal, say hello, answer until the host closes. Never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(channel, CHANNEL)
        os.dup2(black_box, BLACK_BOX)
        os.close(1)
        close_all_but({CHANNEL, BLACK_BOX, *mould.seal.keep})
        wire = Channel(CHANNEL, CHANNEL)
        layers = mould.seal.apply()
        if mould.allowed is not None:
            sys.modules.pop("ctypes", None)
            sys.modules.pop("_ctypes", None)
            forbid_events()
        if mould.rehearsal is not None:
            rehearse(mould.rehearsal, mould.timers, mould.seal.base, mould.allowed)
        runner = Runner(wire.send, wire.receive, mould.timers, address_space=mould.seal.base, allowed=mould.allowed)
        wire.send(encode({"hello": layers}))
        while (frame := wire.receive()) is not None:
            runner.answer(frame)
        status = 0
    except BaseException as error:
        os.write(BLACK_BOX, f"{type(error).__name__}: {error}\n".encode()[:2000])
    finally:
        os._exit(status)


def rehearse(request: bytes, timers: Timers, address_space: int | None, allowed: tuple[str, ...] | None) -> None:
    """A call of our own. In the zygote it readies the interpreter's caches once for all children; in the first child it
    proves that the seal, which is the same for all, allows what a call needs. Raises Leak."""
    streams, parts = (sys.stdout, sys.stderr), list[bytes]()
    runner = Runner(
        lambda *said: parts.extend(said), lambda: None, timers, address_space=address_space, allowed=allowed
    )
    runner.answer(request)
    sys.stdout, sys.stderr = streams
    if b'"value":' not in parts:
        raise Leak("the rehearsal failed: " + b"".join(parts).decode())


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor that is not named."""
    start = 0
    for descriptor in sorted(keep):
        if start < descriptor:  # an empty range would close everything
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, DESCRIPTORS)
