"""The errors of this package.

TriggerError(ValueError)
├── ScheduleError       a cron expression, interval or time zone that cannot be used
├── PathPatternError    a webhook path pattern that cannot be used
├── SignatureSettingsError   a secret or signature setting that can never verify anything
├── SignatureRejected   a delivery whose credentials do not hold (401)
└── BodyRejected        a request body that cannot be accepted (4xx)
"""


class TriggerError(ValueError):
    """The root of everything this package raises on purpose."""


class ScheduleError(TriggerError):
    """A schedule that cannot be used; says which part, where it stands and what to write instead.

    `field` is the cron field's name, "expression" or "timezone"; `text` the offending piece; `position` its
    offset in the expression in characters (None for a time zone); `hint` what to write.
    """

    def __init__(self, problem: str, *, field: str, text: str, position: int | None, hint: str) -> None:
        where = "" if position is None else f" at position {position}"
        super().__init__(f"{field}{where}: {problem}. {hint}")
        self.problem = problem
        self.field = field
        self.text = text
        self.position = position
        self.hint = hint


class PathPatternError(TriggerError):
    """A webhook path pattern that cannot be used; `position` is the offset of the trouble in the pattern."""

    def __init__(self, problem: str, *, pattern: str, position: int, hint: str) -> None:
        super().__init__(f"path {pattern!r}, position {position}: {problem}. {hint}")
        self.problem = problem
        self.pattern = pattern
        self.position = position
        self.hint = hint


class SignatureSettingsError(TriggerError):
    """A secret or a signature setting that can never verify a delivery; found when the trigger is saved."""


class SignatureRejected(TriggerError):
    """A delivery that did not prove where it comes from; to be answered with 401.

    `reason` is fit for the sender's eyes: it names headers and times, never a secret or an expected signature.
    `challenge` is the WWW-Authenticate header that such an answer has, if any.
    """

    def __init__(self, reason: str, *, challenge: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.challenge = challenge


class BodyRejected(TriggerError):
    """A request body that is refused: `status` is the 4xx to answer with, `message` says what is wrong where."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
