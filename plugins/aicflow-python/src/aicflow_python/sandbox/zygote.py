"""The children of one environment: a zygote that is asked for them and tells how they ended, and a few sealed in
advance."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from .child import Child, Ended
from .launching import box_command, library_path
from .outcomes import SandboxUnavailable
from .port import Environment

log: Final = logging.getLogger(__name__)

type OnDead = Callable[[Child], None]

START_TIMEOUT: Final = 30.0
CHILD_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class ZygoteOptions:
    """What a zygote loads, and the ceilings of its children."""

    memory_mb: int
    cpu_seconds: int
    modules: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    guards: bool = True


class Zygote:
    """One clean process. Made by `start`; dead when `dead` is set, and not to be revived."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, errors: int, on_dead: OnDead) -> None:
        self.dead = False
        self.pid = process.pid
        self._process = process
        self._control = control
        self._errors = errors
        self._on_dead = on_dead
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._asked: deque[asyncio.Future[Child]] = deque()
        self._children: dict[int, Child] = {}
        control.setblocking(False)
        self._loop.add_reader(control, self._on_readable)

    @classmethod
    async def start(cls, options: ZygoteOptions, on_dead: OnDead) -> Zygote:
        """Start one and wait until everything is loaded. `on_dead` hears of each child's end. Raises
        SandboxUnavailable."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("aicflow-zygote-errors")
        launching = asyncio.ensure_future(asyncio.to_thread(launch, options, theirs, errors))
        try:
            process = await asyncio.shield(launching)
        except OSError as error:
            ours.close()
            os.close(errors)
            raise SandboxUnavailable(f"The sandbox's process could not be started: {error}") from None
        except asyncio.CancelledError:
            process = await launching
            process.kill()
            process.wait()
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
        zygote = cls(process, ours, errors, on_dead)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await zygote._ready
        except (TimeoutError, Ended):
            words = zygote._last_words()
            await zygote.close()
            raise SandboxUnavailable(f"The sandbox's process did not come up: {words or 'no word from it'}") from None
        except BaseException:
            await zygote.close()
            raise
        return zygote

    async def spawn(self) -> tuple[Child, dict[str, str]]:
        """A new sealed child and its layers. Raises SandboxUnavailable."""
        if self.dead:
            raise SandboxUnavailable("The sandbox's process has ended.")
        asked: asyncio.Future[Child] = self._loop.create_future()
        self._asked.append(asked)
        try:
            self._control.send(b"fork")
        except OSError as error:
            self._asked.remove(asked)
            raise SandboxUnavailable(f"The sandbox's process does not listen: {error}") from None
        child = None
        try:
            async with asyncio.timeout(CHILD_TIMEOUT):
                child = await asked
                hello = await child.hello
            layers = hello.get("hello")
            if not isinstance(layers, dict):
                raise SandboxUnavailable("A new child said something else than hello.")
            return child, layers
        except Ended as error:
            words = error.args[0].decode("utf-8", "replace").strip() if error.args else ""
            raise SandboxUnavailable(f"A new child ended before it was sealed. {words}") from None
        except TimeoutError:
            if child:
                child.kill()
            raise SandboxUnavailable("A new child did not come up in time.") from None
        except BaseException:
            if child:
                child.kill()
            elif asked.done() and not asked.cancelled() and not asked.exception():
                asked.result().kill()
            raise

    async def close(self) -> None:
        """End the process; the kernel takes the children along."""
        self._die()
        try:
            await asyncio.to_thread(self._process.wait, 2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1

    def _on_readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 4096, 3, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._die()
            return
        news = json.loads(data)
        if "child" in news:
            self._adopt(news["child"], descriptors)
        elif "failed" in news:
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_exception(SandboxUnavailable(f"A new child could not be made: {news['failed']}"))
        elif "ended" in news:
            child = self._children.pop(news["ended"], None)
            if child and not child.exit_code.done():
                child.exit_code.set_result(news["code"])
        elif "ready" in news and not self._ready.done():
            self._ready.set_result(None)

    def _adopt(self, pid: int, descriptors: Sequence[int]) -> None:
        channel, black_box, pidfd = descriptors
        child = Child(self._loop, pid, socket.socket(fileno=channel), black_box, pidfd, self._on_dead)
        self._children[pid] = child
        asked = self._asked.popleft()
        if asked.done():  # the caller has gone
            child.kill()
        else:
            asked.set_result(child)

    def _die(self) -> None:
        if self.dead:
            return
        self.dead = True
        self._loop.remove_reader(self._control)
        self._control.close()
        if not self._ready.done():
            self._ready.set_exception(Ended())
        while self._asked:
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_exception(SandboxUnavailable("The sandbox's process has ended."))
        for child in tuple(self._children.values()):
            child.kill()
            if not child.exit_code.done():
                child.exit_code.set_result(None)  # nobody is left who could tell

    def _last_words(self) -> str:
        return os.pread(self._errors, 4000, 0).decode("utf-8", "replace").strip()


class Pool:
    """Keeps `warm` spare children. The zygote is started again when it has died."""

    def __init__(
        self,
        environment: Environment,
        options: ZygoteOptions,
        *,
        warm: int,
        required: Iterable[str],
        on_dead: Callable[[Child], None],
    ) -> None:
        self.environment = environment
        self.layers: dict[str, str] = {}
        self._options = options
        self._warm = warm
        self._required = frozenset(required)
        self._on_dead = on_dead
        self._zygote: Zygote | None = None
        self._starting = asyncio.Lock()
        self._spares: deque[Child] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the zygote and fill the pool. Raises SandboxUnavailable."""
        for _ in range(max(1, self._warm)):
            self._spares.append(await self._spawn())

    async def take(self) -> Child:
        """A sealed child that has run nothing. Raises SandboxUnavailable."""
        while self._spares:
            child = self._spares.popleft()
            if not child.dead:
                self._fill()
                return child
        child = await self._spawn()
        self._fill()
        return child

    def forget(self, child: Child) -> None:
        """A child has ended; if it was a spare, make another."""
        if child in self._spares:
            self._spares.remove(child)
            self._fill()

    async def close(self) -> None:
        """End the zygote and every child of it."""
        self._closed = True
        if self._refill:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        for child in tuple(self._spares):
            child.kill()
        async with self._starting:
            if self._zygote:
                await self._zygote.close()
                self._zygote = None

    @property
    def alive(self) -> bool:
        """Whether there is a zygote to ask."""
        return self._zygote is not None and not self._zygote.dead

    async def _spawn(self) -> Child:
        async with self._starting:
            if self._closed:
                raise SandboxUnavailable("The sandbox is closed.")
            if self._zygote and self._zygote.dead:
                await self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await Zygote.start(self._options, self._on_dead)
            zygote = self._zygote
        child, layers = await zygote.spawn()
        missing = sorted(self._required - layers.keys())
        if missing:
            child.kill()
            raise SandboxUnavailable(
                f"This machine does not offer the protection {', '.join(missing)}, which the sandbox requires; "
                f"active: {', '.join(sorted(layers)) or 'none'}. Nothing was run."
            )
        self.layers = layers
        return child

    def _fill(self) -> None:
        if self._refill is None and not self._closed and len(self._spares) < self._warm:
            self._refill = asyncio.get_running_loop().create_task(self._fill_up())

    async def _fill_up(self) -> None:
        try:
            while len(self._spares) < self._warm:
                self._spares.append(await self._spawn())
        except SandboxUnavailable as error:
            log.warning("no spare sandbox could be made: %s", error)
        finally:
            self._refill = None


def launch(options: ZygoteOptions, control: socket.socket, errors: int) -> subprocess.Popen[bytes]:
    """Run the clean process: isolated, without site, empty environment, no descriptor but the control socket."""
    argument = json.dumps({**asdict(options), "zones": zone_paths()})
    return subprocess.Popen(
        box_command("zygote_process", argument, str(control.fileno())),
        env=environment(options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=[control.fileno()],
        start_new_session=True,
        cwd="/",
    )


def environment(options: ZygoteOptions) -> dict[str, str]:
    """Nothing of the host's, but what the interpreter needs to find its own library."""
    names = library_path()
    if options.modules:
        # Numerical libraries start a thread for each processor; a fork leaves those behind.
        names |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return names


def zone_paths() -> list[str]:
    """Where time zones may be found: the system's, then the tzdata package's."""
    paths = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"]
    package = importlib.util.find_spec("tzdata")
    if package and package.origin:
        paths.append(str(Path(package.origin).parent / "zoneinfo"))
    return paths
