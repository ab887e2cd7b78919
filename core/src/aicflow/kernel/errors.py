"""Every error AIC Flow raises on purpose.

AICFlowError
├── DocumentUnreadable      bytes that are not a JSON or YAML document, or are over a limit
├── WorkflowInvalid         a document with errors; carries the issues
├── InputInvalid            an execution's input does not fit the workflow's input_schema
├── NotFound                no such workflow, execution, node type, …
├── Conflict                the thing exists already, or changed since it was read
├── PluginError             a plugin that cannot be used; reported, never fatal
├── StaleClaim              another worker holds the execution now; stop working on it
├── StoreUnavailable        the store cannot answer (disk full, locked, gone)
├── RecordDamaged           something stored cannot be read any more
│   └── EventsDamaged       events of an execution
└── NodeError               what a node raises to say how its step failed
    ├── TransientError      may work when tried again
    │   └── StepTimeout     the attempt took longer than its timeout
    └── PermanentError      will not work however often it is tried
        ├── ParamsInvalid   resolved params do not fit the node's model
        ├── OutputInvalid   the node returned something that does not fit its declared output
        └── ReferenceFailed a reference in the params could not be resolved
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aicflow.kernel.issues import Issue


class AICFlowError(Exception):
    """The root of the tree."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DocumentUnreadable(AICFlowError):
    """The bytes are not a document: malformed, too large, too deep. Carries the place where it was noticed."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "doc.syntax",
        line: int | None = None,
        column: int | None = None,
        pointer: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.line = line
        self.column = column
        self.pointer = pointer


class WorkflowInvalid(AICFlowError):
    """The document has errors; `issues` lists all of them, warnings too, in document order."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        errors = [issue for issue in issues if issue.severity == "error"]
        first = errors[0] if errors else None
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        where = f"{first.pointer or '/'}: {first.message}{more}" if first else "no errors given"
        super().__init__(f"The workflow has errors. {where}", hint=first.hint if first else None)
        self.issues = tuple(issues)


class InputInvalid(AICFlowError):
    """A value given from outside does not fit its schema; `violations` are (pointer into the value, message)."""

    def __init__(self, violations: Sequence[tuple[str, str]], *, what: str = "input") -> None:
        first = violations[0] if violations else ("", "unknown")
        super().__init__(f"The {what} does not fit its schema: {what}{first[0]}: {first[1]}")
        self.what = what
        self.violations = tuple(violations)


class NotFound(AICFlowError):
    """Nothing exists under this id or name."""

    def __init__(self, kind: str, name: str, *, hint: str | None = None) -> None:
        super().__init__(f"There is no {kind} {name!r}.", hint=hint)
        self.kind = kind
        self.name = name


class Conflict(AICFlowError):
    """The thing exists already, or changed since the caller read it."""

    def __init__(self, message: str, *, code: str = "conflict", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class PluginError(AICFlowError):
    """A plugin that cannot be used. `code`: import-failed, clash, incompatible, bad-hook, blocked, failed."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class KeyUsed(AICFlowError):
    """The idempotency key was used before, and nothing was done now. `fingerprint` tells whether for the same request,
    `result` is the id of what that one made."""

    def __init__(self, key: str, fingerprint: str, result: str) -> None:
        super().__init__(f"The idempotency key {key!r} was used before.")
        self.fingerprint = fingerprint
        self.result = result


class StaleClaim(AICFlowError):
    """The execution is claimed by another worker (or ended): nothing this worker does to it counts any more."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"Execution {execution_id} is no longer this worker's.")
        self.execution_id = execution_id


class StoreUnavailable(AICFlowError):
    """The store cannot answer now; nothing was written."""


class RecordDamaged(AICFlowError):
    """Something stored cannot be read any more, however often it is asked for."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="Stop the server and run `aicflow db doctor --repair`, or restore a backup.")


class EventsDamaged(RecordDamaged):
    """Events of an execution are missing or cannot be read."""

    def __init__(self, execution_id: str, first_seq: int, last_seq: int) -> None:
        many = f"events {first_seq} to {last_seq}" if last_seq > first_seq else f"event {first_seq}"
        super().__init__(f"Execution {execution_id}: {many} cannot be read from the store.")
        self.execution_id = execution_id
        self.first_seq = first_seq
        self.last_seq = last_seq


class NodeError(AICFlowError):
    """A step failed. `code` is a stable word for programs, `details` are JSON for people (never secret values),
    `types` the names of exception types that it stands for, which `retry.on` may name."""

    code: str = "node-error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        pointer: str | None = None,
        details: Mapping[str, Any] | None = None,
        types: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.types = tuple(types)
        if code is not None:
            self.code = code
        self.pointer = pointer
        self.details = dict(details) if details else {}


class TransientError(NodeError):
    """May work when tried again. `retry_after` (seconds) is the least time to wait, when the other side said so."""

    code = "transient"

    def __init__(self, message: str, *, retry_after: float | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after


class StepTimeout(TransientError):
    """The attempt took longer than its timeout."""

    code = "timeout"


class PermanentError(NodeError):
    """Will not work however often it is tried."""

    code = "permanent"


class ParamsInvalid(PermanentError):
    """The resolved params do not fit the node's params model."""

    code = "params-invalid"


class OutputInvalid(PermanentError):
    """The node returned something that does not fit its declared output."""

    code = "output-invalid"


class OutputTooLarge(PermanentError):
    """The output has more bytes than are kept."""

    code = "output-too-large"


class ReferenceFailed(PermanentError):
    """A reference in the params could not be resolved against what this execution has."""

    code = "reference-failed"
