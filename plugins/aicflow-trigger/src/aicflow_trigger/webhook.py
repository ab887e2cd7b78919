"""The trigger type trigger.webhook: which URLs are live in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, get_args

from aicflow import Binding, Issue, PermanentError, Trigger, TriggerRuntime, Ways, did_you_mean
from pydantic import ValidationError

from aicflow_trigger.admission import VARIABLES, Admission
from aicflow_trigger.errors import PathPatternError, SignatureSettingsError
from aicflow_trigger.paths import PathPattern, PathTable, conflicts, example_of_both
from aicflow_trigger.signatures import check_settings
from aicflow_trigger.webhook_params import HmacAuth, Method, WebhookParams, WebhookPayload, payload_schema

RESERVED = "~test"
"""The first segment below /hooks that is the product's own: the addresses of drafts that someone listens to."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that calls can reach. `params` is None while it cannot be activated."""

    binding: Binding
    pattern: PathPattern
    methods: Sequence[str]
    params: WebhookParams | None

    @classmethod
    def of(cls, binding: Binding, params: WebhookParams) -> "Hook":
        """The hook of a binding. Raises PermanentError when no call could ever be checked."""
        try:
            if isinstance(params.auth, HmacAuth):
                check_settings(params.auth.preset, params.auth.secrets, params.auth.plain)
            return cls(binding, PathPattern.parse(params.path), params.methods, params)
        except (PathPatternError, SignatureSettingsError) as error:
            raise PermanentError(str(error), code="trigger-settings") from None


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
    variables: ClassVar[Mapping[str, str]] = VARIABLES

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        # one entry for each shape of path; hooks of one shape differ in their methods
        self._table: PathTable[list[Hook]] = PathTable()

    async def start(self, runtime: TriggerRuntime) -> None:
        """Nothing to open: the host mounts the URLs. Raises AICFlowError for limits that cannot be read."""
        self.runtime = runtime
        self.admission = Admission()

    async def stop(self) -> None:
        """No URL is live any more."""
        self._hooks.clear()
        self._table = PathTable()

    async def activate(self, binding: Binding, params: WebhookParams) -> None:
        """The URL is live from now on."""
        self._put(Hook.of(binding, params))

    async def unavailable(self, binding: Binding, params: Mapping[str, Any], problem: str) -> None:
        """The URL is known and answers that it cannot work now, so that senders try again later."""
        self._remove(binding)
        path, methods = params.get("path"), params.get("methods", ["POST"])
        if isinstance(path, str) and isinstance(methods, list):
            self._put(Hook(binding, PathPattern.parse(path), [str(method) for method in methods], None))

    async def deactivate(self, binding: Binding) -> None:
        """The URL is gone from now on."""
        self._remove(binding)

    def _put(self, hook: Hook) -> None:
        self._remove(hook.binding)
        self._hooks[hook.binding.id] = hook
        same = self._table.remove(hook.pattern) or []
        self._table.add(hook.pattern, [*same, hook])

    def _remove(self, binding: Binding) -> None:
        hook = self._hooks.pop(binding.id, None)
        if hook is None:
            return
        left = [other for other in self._table.remove(hook.pattern) or () if other is not hook]
        if left:
            self._table.add(left[0].pattern, left)

    def find(self, path: str, method: str) -> Found | None:
        """What is live at a path (still percent-encoded, without the prefix), or None."""
        matches = [(hook, values) for hooks, values in self._table.matches(path) for hook in hooks]
        # what answers GET answers HEAD, unless another does
        for wanted in (method, "GET") if method == "HEAD" else (method,):
            for hook, values in matches:
                if wanted in hook.methods:  # hooks of one shape name their parameters differently
                    return Found(hook, dict(zip(hook.pattern.parameters, values.values(), strict=True)), ())
        return Found(None, {}, sorted({one for hook, _ in matches for one in hook.methods})) if matches else None

    @classmethod
    def conflict(cls, params: WebhookParams, other: WebhookParams) -> str | None:
        """Two webhooks must not wait for the same call."""
        shared = set(params.methods) & set(other.methods)
        try:
            mine, theirs = PathPattern.parse(params.path), PathPattern.parse(other.path)
        except PathPatternError:
            return None
        if not shared or not conflicts(mine, theirs):
            return None
        method = sorted(shared)[0]
        example = example_of_both(mine, theirs)
        return f"{method} /hooks/{example} would match both {params.path!r} and {other.path!r}."

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Say where a path is wrong, and which secret can never verify a call."""
        return [*_check_path(params.get("path")), *_check_methods(params.get("methods")), *_check_auth(params)]

    @classmethod
    def check_in(cls, params: Mapping[str, Any], document: Mapping[str, Any], ways: Ways | None) -> Sequence[Issue]:
        """Say when a node that is to answer is not there, and on which way none answers, or more than one may."""
        respond, nodes = params.get("respond"), document.get("nodes")
        if not isinstance(respond, Mapping) or respond.get("mode") != "node" or not isinstance(nodes, list):
            return ()
        given = respond.get("node")
        wanted = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]
        types = {
            node["id"]: node.get("type")
            for node in nodes
            if isinstance(node, Mapping) and isinstance(node.get("id"), str)
        }
        issues = []
        for index, one in enumerate(wanted):
            if one not in types:
                hint = did_you_mean(one, types) or f"There are {', '.join(map(repr, [*types][:10]))}."
                at = f"/respond/node/{index}" if isinstance(given, list) else "/respond/node"
                issues.append(Issue("param.invalid", "error", at, f"There is no node {one!r} to answer.", hint))
        if issues or ways is None or not wanted:
            return issues
        if (way := ways.without(wanted)) is not None:
            others = [one for one, kind in types.items() if kind == "webhook.respond" and one not in wanted]
            message = f"No node answers {way}: the caller gets 502."
            hint = "Name a node for every branch: "
            hint += f"node: [{', '.join([*wanted, *others])}]." if others else "add a webhook.respond node on that way."
            issues.append(Issue("trigger.no-answer", "warning", "/respond/node", message, hint))
        for one, other in combinations(wanted, 2):
            if (way := ways.with_both(one, other)) is not None:
                message = f"Both {one!r} and {other!r} run {way}: the first to succeed answers."
                hint = "Name one node for each branch."
                return [*issues, Issue("trigger.two-answers", "warning", "/respond/node", message, hint)]
        return issues

    def check_here(self, params: WebhookParams) -> Sequence[Issue]:
        """Say when a body is let in by the params and not by the server."""
        most = self.runtime.max_body_bytes
        if "max_body_bytes" not in params.model_fields_set or params.max_body_bytes <= most:
            return ()
        message = f"The server takes {most:,} bytes at most; {params.max_body_bytes:,} would never arrive."
        hint = f"Write at most {most}, or have the operator raise AICFLOW_MAX_BODY_BYTES."
        return (Issue("param.invalid", "error", "/max_body_bytes", message, hint),)

    @classmethod
    def payload_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """With the path's parameters by name, the methods, and what `accept` makes of the body."""
        return payload_schema(super().payload_schema() or {}, params)

    @classmethod
    def manual_payload(cls, params: WebhookParams, now: float) -> Any:
        """An empty call."""
        pattern = PathPattern.parse(params.path)
        return {
            "method": params.methods[0],
            "path": pattern.text,
            "path_params": dict.fromkeys(pattern.parameters, ""),
            "query": {},
            "headers": {},
            "body": None,
            "content_type": "",
            "files": [],
            "delivery_id": None,
            "authenticated_by": None,
            "received_at": "",
        }


def _check_path(path: Any) -> list[Issue]:
    if not isinstance(path, str):
        return []
    if "${{" in path:
        hint = "A part that varies is written {name} and given as trigger.path_params.name."
        return [Issue("param.invalid", "error", "/path", "A path is written out, without references.", hint)]
    try:
        pattern = PathPattern.parse(path)
    except PathPatternError as error:
        span = (error.position, min(error.position + 1, len(path)))
        message = f"The path cannot be used: {error.problem}."
        return [Issue("param.invalid", "error", "/path", message, f"{error.hint}.", span)]
    if pattern.segments[0] == RESERVED:
        message = f"Paths below {RESERVED} are for trying drafts."
        return [Issue("param.invalid", "error", "/path", message, "Choose another first segment.")]
    return []


def _check_methods(methods: Any) -> list[Issue]:
    written = methods if isinstance(methods, list) else [methods]
    if any(isinstance(one, str) and "${{" in one for one in written):
        hint = f"Write some of {', '.join(get_args(Method))}."
        return [Issue("param.invalid", "error", "/methods", "Methods are written out, without references.", hint)]
    return []


def _check_auth(params: Mapping[str, Any]) -> list[Issue]:
    try:
        auth = HmacAuth.model_validate(params.get("auth"))
    except ValidationError:
        return []  # another kind, or the model says what is wrong
    if any("${{" in secret for secret in auth.secrets):
        return []
    try:
        check_settings(auth.preset, auth.secrets, auth.plain)
    except SignatureSettingsError as error:
        message = str(error)
        return [Issue("param.invalid", "error", "/auth/secrets", f"{message[0].upper()}{message[1:]}.")]
    return []
