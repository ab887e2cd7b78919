"""The trigger type trigger.webhook: which URLs are live in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aicflow import Binding, Issue, Trigger, TriggerRuntime

from aicflow_trigger.errors import PathPatternError
from aicflow_trigger.paths import PathPattern, PathTable, conflicts, example_of_both
from aicflow_trigger.webhook_params import WebhookParams, WebhookPayload


@dataclass(frozen=True, slots=True)
class Hook:
    """A live webhook."""

    binding: Binding
    params: WebhookParams
    pattern: PathPattern

    @classmethod
    def of(cls, binding: Binding, params: WebhookParams) -> "Hook":
        """The hook of a binding."""
        return cls(binding, params, PathPattern.parse(params.path))


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to: the hook of the method, or the methods that the path has."""

    hook: Hook | None
    path_params: Mapping[str, str]
    methods: Sequence[str]


class WebhookTrigger(Trigger[WebhookParams, WebhookPayload]):
    """Start an execution for each call of a URL.

    A call is stored before it is answered. The URL works from the moment the workflow is saved and stops at once
    when the workflow is disabled or deleted.
    """

    type_id = "trigger.webhook"
    title = "Webhook"

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        self._table: PathTable[list[Hook]] = PathTable()

    async def start(self, runtime: TriggerRuntime) -> None:
        """Nothing to open: the host mounts the URLs."""
        self.runtime = runtime

    async def stop(self) -> None:
        """No URL is live any more."""
        self._hooks.clear()
        self._rebuild()

    async def activate(self, binding: Binding, params: WebhookParams) -> None:
        """The URL is live from now on."""
        self._hooks[binding.id] = Hook.of(binding, params)
        self._rebuild()

    async def deactivate(self, binding: Binding) -> None:
        """The URL is gone from now on."""
        if self._hooks.pop(binding.id, None) is not None:
            self._rebuild()

    def _rebuild(self) -> None:
        """One table entry for each shape of path; hooks of one shape differ in their methods."""
        shapes: dict[Any, list[Hook]] = {}
        for hook in self._hooks.values():
            shapes.setdefault(hook.pattern.segments, []).append(hook)
        table: PathTable[list[Hook]] = PathTable()
        for hooks in shapes.values():
            table.add(hooks[0].pattern, hooks)
        self._table = table

    def find(self, path: str, method: str) -> Found | None:
        """What is live at a path (still percent-encoded, without the prefix), or None."""
        found = self._table.find(path)
        if found is None:
            return None
        hooks, _ = found
        for hook in hooks:
            if method in hook.params.methods:
                return Found(hook, hook.pattern.match(path) or {}, ())
        methods = sorted({name for hook in hooks for name in hook.params.methods})
        return Found(None, {}, methods)

    @classmethod
    def conflict(cls, params: WebhookParams, other: WebhookParams) -> str | None:
        """Two webhooks must not wait for the same call."""
        shared = set(params.methods) & set(other.methods)
        mine, theirs = PathPattern.parse(params.path), PathPattern.parse(other.path)
        if not shared or not conflicts(mine, theirs):
            return None
        method = sorted(shared)[0]
        example = example_of_both(mine, theirs)
        return f"{method} /hooks/{example} would match both {params.path!r} and {other.path!r}."

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Say where a path is wrong."""
        path = params.get("path")
        if not isinstance(path, str) or "${{" in path:
            return ()
        try:
            PathPattern.parse(path)
        except PathPatternError as error:
            span = (error.position, min(error.position + 1, len(path)))
            return (Issue("param.invalid", "error", "/path", error.problem, error.hint, span),)
        return ()

    @classmethod
    def manual_payload(cls, params: WebhookParams, now: float) -> Any:
        """An empty call."""
        return {
            "method": params.methods[0],
            "path": params.path,
            "path_params": {},
            "query": {},
            "headers": {},
            "body": None,
            "content_type": "",
            "files": [],
            "delivery_id": None,
            "received_at": "",
        }
