"""Secrets at run time: where they come from, and keeping their values out of whatever is shown."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from aicflow_language.expr import Secret

from aicflow.engine.masking import Mask
from aicflow.engine.scoped import Scoped
from aicflow.kernel.errors import AICFlowError, PermanentError, TransientError
from aicflow.kernel.records import SecretSource

_logger = logging.getLogger("aicflow.engine")
_NAMES_LIFETIME: Final = 5.0
_FILE: Final = re.compile(r"\w[\w.-]{0,254}", re.ASCII)


class EnvironmentSecrets:
    """Secrets in the environment of the process: `AICFLOW_SECRET_NAME` is `secrets.NAME`."""

    name = "environment"

    def __init__(self, environment: Mapping[str, str] | None = None, prefix: str = "AICFLOW_SECRET_") -> None:
        self._environment = os.environ if environment is None else environment
        self._prefix = prefix

    async def get(self, secret: str) -> str | None:
        """The value, or None when there is none."""
        return self._environment.get(self._prefix + secret)

    async def names(self) -> Sequence[str]:
        """All names."""
        return sorted(name[len(self._prefix) :] for name in self._environment if name.startswith(self._prefix))


class FileSecrets:
    """A folder with a file for each secret, as containers mount them. A line end at the end of a file is not part of
    the value."""

    name = "files"

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    async def get(self, secret: str) -> str | None:
        """The value, or None when there is no such file."""
        return await asyncio.to_thread(self._read, secret) if _FILE.fullmatch(secret) else None

    def _read(self, secret: str) -> str | None:
        path = self._folder / secret
        try:
            text = path.read_bytes().decode()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise AICFlowError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise AICFlowError(f"{path} is not text in UTF-8.") from None
        return text.removesuffix("\n").removesuffix("\r")

    async def names(self) -> Sequence[str]:
        """All names."""
        return await asyncio.to_thread(self._list)

    def _list(self) -> Sequence[str]:
        try:
            files = [entry.name for entry in os.scandir(self._folder) if entry.is_file()]
        except OSError as error:
            raise AICFlowError(f"The folder {self._folder} cannot be read: {error.strerror}.") from None
        return sorted(name for name in files if _FILE.fullmatch(name))


class SecretUnavailable(TransientError):
    """A secret source did not answer."""

    code = "secret-unavailable"


class SecretNotLoaded(Exception):
    """The value must be fetched first."""

    def __init__(self, name: str) -> None:
        self.name = name


class Secrets:
    """All sources, asked in order. A value is kept for `lifetime` seconds; a source has `timeout` seconds to answer.
    `mask` hides every value that a source lists or has returned, before anybody else sees it.

    A secret that is for some workflows only is not there for anybody else: `of` is what a workflow sees. The views
    share what is kept. `used` collects the names of secrets whose values were asked for."""

    def __init__(self, sources: Sequence[SecretSource] = (), *, lifetime: float = 60.0, timeout: float = 10.0) -> None:
        self.sources = tuple(sources)
        self._lifetime = lifetime
        self._timeout = timeout
        self._kept: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._listed: dict[int, tuple[float, Sequence[str] | None]] = {}
        self._workflow_id: str | None = None
        self._labels: Mapping[str, str] = {}
        self.mask = Mask()
        self.used: set[str] = set()

    def of(self, workflow_id: str | None, labels: Mapping[str, str]) -> Secrets:
        """The secrets as this workflow sees them."""
        view = Secrets.__new__(Secrets)
        view.__dict__.update(self.__dict__)
        view._workflow_id, view._labels = workflow_id, labels
        return view

    async def learn(self) -> None:
        """Fetch and hide all values of the sources that list them: one may reach an execution that never asked for
        it. A source that does not answer now is asked again when a step needs it."""
        found: dict[str, list[str]] = {}
        in_order = True  # whether every source so far lists its secrets: only then is it known whose value counts
        for source in self.sources:
            names: Sequence[str] | None = None
            values: list[str | None] = []
            try:
                async with asyncio.timeout(self._timeout):
                    names = await source.names()
                    values = await asyncio.gather(*(source.get(name) for name in names or ()))
            except Exception as error:
                _logger.warning("Secret source %s cannot list its secrets: %s", source.name, self._reason(error))
            in_order = in_order and names is not None and len(values) == len(names)
            for name, value in zip(names or (), values, strict=False):
                if isinstance(value, str):
                    self.mask.add(str(value))
                    answers = found.setdefault(str(name), [])
                    if in_order and not (answers and type(answers[-1]) is str):
                        answers.append(value)
        until = monotonic() + self._lifetime
        self._kept.update({name: (until, tuple(answers)) for name, answers in found.items() if answers})

    async def renew(self, name: str) -> None:
        """A secret was changed: what is known of it counts no more. Its value is hidden when this returns, if its
        source answers."""
        self._listed.clear()
        self._kept.pop(name, None)
        asking = self._asking.pop(name, None)
        if asking is not None:
            asking.cancel()
        with suppress(AICFlowError):
            await self._from_sources(name)

    def value(self, name: str) -> str:
        """The value kept. Raises SecretNotLoaded when there is none, or none that is fresh: see `resolve`."""
        kept = self._kept.get(name)
        if kept is None or kept[0] < monotonic():
            raise SecretNotLoaded(name)
        return self._mine(name, kept[1])

    async def fetch(self, name: str) -> str:
        """The value, kept or from a source. Raises PermanentError (`secret-missing`) when no source has it,
        SecretUnavailable when a source does not answer."""
        try:
            return self.value(name)
        except SecretNotLoaded:
            return self._mine(name, await asyncio.shield(self._ask(name)))

    def _mine(self, name: str, answers: Sequence[str]) -> str:
        for answer in answers:
            if self._is_mine(answer):
                self.used.add(name)
                return str(answer)
        asked = ", ".join(source.name for source in self.sources) or "none"
        raise PermanentError(
            f"There is no secret {name!r} (sources asked: {asked}).",
            code="secret-missing",
            hint=f"Run `aicflow secrets set {name}`, or set AICFLOW_SECRET_{name} in the server's environment.",
        )

    def _is_mine(self, answer: str) -> bool:
        return not isinstance(answer, Scoped) or answer.is_for(self._workflow_id, self._labels)

    async def resolve[T](self, with_values: Callable[[Callable[[str], str]], T]) -> T:
        """What the function returns; it is called again until every value that it asks for is there. Raises as
        `fetch`."""
        fetched: dict[str, str] = {}
        while True:
            try:
                return with_values(lambda name: fetched[name] if name in fetched else self.value(name))
            except SecretNotLoaded as wanted:
                fetched[wanted.name] = await self.fetch(wanted.name)

    def at_once(self, name: str) -> str:
        """The value for a caller on the event loop that cannot wait: the last one known, or what the sources return
        without waiting. Raises as `fetch`; SecretUnavailable when a source has to be waited for, which is asked in the
        background then."""
        kept = self._kept.get(name)
        if kept is not None and kept[0] >= monotonic():
            return self._mine(name, kept[1])
        found = _without_waiting(self._from_sources(name))
        if found is not None:
            return self._mine(name, found)
        self._ask(name)
        if kept is not None:
            return self._mine(name, kept[1])
        raise SecretUnavailable(
            f"The secret {name!r} is not here yet: its source has to be waited for.",
            code="secret-not-loaded",
            hint="In an async node write `await ctx.fetch_secret(name)`, or take it as a param.",
        )

    def _ask(self, name: str) -> asyncio.Task[tuple[str, ...]]:
        """The one task that fetches this value for everybody who waits for it."""
        task = self._asking.get(name)
        if task is None:

            def asked(task: asyncio.Task[tuple[str, ...]]) -> None:
                if self._asking.get(name) is task:
                    del self._asking[name]
                if not task.cancelled():
                    task.exception()  # whoever waits has it too; maybe nobody does any more

            task = self._asking[name] = asyncio.get_running_loop().create_task(self._from_sources(name))
            task.add_done_callback(asked)
        return task

    async def _from_sources(self, name: str) -> tuple[str, ...]:
        """The values of this name in order, up to the first that is for every workflow."""
        answers: list[str] = []
        for source in self.sources:
            try:
                async with asyncio.timeout(self._timeout):
                    value = await source.get(name)
            except Exception as error:
                raise SecretUnavailable(
                    f"Secret source {source.name!r} did not return {name!r}: {self._reason(error)}.",
                    hint="Is the source reachable, and may this server read the secret?",
                ) from None
            if value is None:
                continue
            if not isinstance(value, str):
                raise PermanentError(
                    f"Secret source {source.name!r} returned {type(value).__name__} for {name!r}, not text.",
                    code="secret-invalid",
                )
            self.mask.add(str(value))
            answers.append(value)
            if not isinstance(value, Scoped):
                break
        if answers:
            self._kept[name] = (monotonic() + self._lifetime, tuple(answers))
        else:
            self._kept.pop(name, None)
        return tuple(answers)

    def _reason(self, error: Exception) -> str:
        """Why a source failed; what a foreign error says may hold what nobody may see."""
        if isinstance(error, AICFlowError):
            return error.message.rstrip(".")
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        return type(error).__name__

    async def names(self) -> frozenset[str] | None:
        """All names that this workflow may use, or None when a source cannot list its own now. A workflow without an id
        may turn out to be any."""
        found: set[str] = set()
        for source in self.sources:
            listed = await self.listed(source)
            if listed is None:
                return None
            anybody = self._workflow_id is None
            found.update(
                str(name) for name in listed if self._is_mine(name) or (anybody and getattr(name, "workflows", None))
            )
        return frozenset(found)

    async def listed(self, source: SecretSource) -> Sequence[str] | None:
        """The names of one source, or None when it cannot list them now."""
        until, names = self._listed.get(id(source), (0.0, None))
        if until < monotonic():
            try:
                async with asyncio.timeout(self._timeout):
                    names = await source.names()
            except Exception as error:
                _logger.warning("Secret source %s cannot list its secrets: %s", source.name, self._reason(error))
                names = None
            self._listed[id(source)] = (monotonic() + _NAMES_LIFETIME, names)
        return names


def _without_waiting[T](work: Coroutine[Any, Any, T]) -> T | None:
    """What the coroutine returns if it never waits, else None; then it is closed."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    work.close()
    return None


class SecretsView(Mapping[str, Secret]):
    """`secrets` in an expression: names only. Whether one exists shows when its value is asked for."""

    def __getitem__(self, name: str) -> Secret:
        return Secret(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
