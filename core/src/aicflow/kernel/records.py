"""What hooks return: registration is data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from aicflow.kernel.execution import Event, Step
    from aicflow.kernel.ports.engine import Engine
    from aicflow.kernel.ports.store import Store
    from aicflow.kernel.trigger import Binding, TriggerRuntime


@dataclass(frozen=True, slots=True)
class StoreType:
    """A store by the scheme of its URL (`sqlite` for `sqlite:///path`). `create` takes the whole URL and the store's
    settings: `AICFLOW_STORE_POOL=8` is `{"pool": "8"}`. It raises AICFlowError for what it cannot take."""

    scheme: str
    create: Callable[[str, Mapping[str, str]], Store]


@dataclass(frozen=True, slots=True)
class EngineType:
    """An engine by name. `create` may raise ImportError when what it needs is not installed."""

    name: str
    create: Callable[[], Engine]


@runtime_checkable
class SecretSource(Protocol):
    """Where secrets come from. Both methods are awaited on the event loop and must not block it; values are kept for a
    while, and an answer that takes too long is an error. What they raise is told by its type only, an AICFlowError by
    its message."""

    name: str

    async def get(self, secret: str) -> str | None:
        """The value as it is now, or None when this source has none of that name."""
        ...

    async def names(self) -> Sequence[str] | None:
        """All names, or None when the source cannot list them."""
        ...


@dataclass(frozen=True, slots=True)
class SecretRuntime:
    """What the host lends to secret sources. The store is open when a source is asked, not yet when it is made."""

    store: Store


@runtime_checkable
class KeyWrapper(Protocol):
    """A key that never leaves its place, as a KMS has it. `name` says which it is and stays the same; it must unwrap
    whatever it wrapped, with the same `context` only. What it raises is told as of a SecretSource."""

    name: str

    async def wrap(self, key: bytes, context: bytes) -> bytes: ...
    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


@runtime_checkable
class Observer(Protocol):
    """Told of committed events, in order for each execution, off the hot path. What it raises is logged.

    Optional, found by their names: `types`, a frozenset of the types of events that it is told of; all without it.
    `async start()` and `async stop()`; `async flush()`, before `stop`, when every event was told; `step(ctx: Context)
    -> AbstractContextManager`, entered around the code of each attempt, and of each call of a node by another, for
    context variables (which blocking nodes see in their threads) and spans. The awaited ones have 5 seconds each, and
    an observer that fails to start is left out."""

    def events(self, events: Sequence[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class DraftTrigger:
    """A trigger as its workflow's newest version has it: `params` is an instance of the type's params model."""

    binding: Binding
    params: Any
    version: int


class Runtime(Protocol):
    """What the host lends to routes."""

    @property
    def triggers(self) -> TriggerRuntime: ...

    def trigger_type(self, type_id: str) -> Any:
        """The process's instance of a trigger type (`Trigger`). Raises NotFound."""
        ...

    async def draft_trigger(self, workflow_id: str, trigger_id: str, type_id: str) -> DraftTrigger:
        """A trigger of a workflow's newest version, which may be a draft. Raises NotFound, Conflict when its params
        cannot be resolved."""
        ...

    def signing_key(self, purpose: str) -> bytes:
        """As `Context.signing_key`."""
        ...

    async def step(self, execution_id: str, step_id: str) -> Step:
        """A step as it is now; `wait` says what it waits for. Raises NotFound."""
        ...

    async def resume(self, execution_id: str, step_id: str, value: Any) -> None:
        """Answer a waiting step; durable on return. Raises NotFound, Conflict, InputInvalid when it does not fit."""
        ...

    async def stopping(self) -> None:
        """Returns when the host begins to stop: answers that never end by themselves end then."""
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    """An ASGI app under a path prefix. `public` routes need no API key: the app checks who calls by itself. The others
    need one with `scope` (`read`, `write`, `execute` or `admin`; an `admin` key has all)."""

    path: str
    app: Callable[..., Any]
    public: bool = False
    scope: str = "admin"

    def __post_init__(self) -> None:
        if not (isinstance(self.path, str) and self.path.startswith("/") and callable(self.app)):
            raise TypeError(f"Mount needs a path that starts with '/' and an ASGI app, not {self.path!r}, {self.app!r}")


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `function` has typed parameters, and is named as `package.module:function` where importing it takes a
    while; `group` is the word before it, as `cron` in `aicflow cron next`."""

    name: str
    function: Callable[..., Any] | str
    group: str | None = None
    help: str = ""
