"""What a failed model call means: try again, or not. Reads the shape of errors, so it serves every provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aicflow import NodeError, PermanentError, TransientError, cut
from aicflow.net import retry_after

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_PERMANENT_429 = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_HINTS = {
    400: "The provider refused the request; see its message. Perhaps the text is too long.",
    401: "Check the api_key param, or the provider's key in the environment where the engine runs.",
    403: "The key may not use this model.",
    404: "Check `model` and `base_url`: there is no such model or no such address.",
    413: "The request is too long for the provider.",
    422: "The provider refused the request; see its message.",
}
_LONGEST = 500


def as_node_error(error: Exception, mask: Callable[[str], str]) -> NodeError:
    """The step's error for an exception of a model call; its message holds no key."""
    refusal = next((cause for cause in _chain(error) if isinstance(cause, NodeError)), None)
    if refusal is not None:  # our own, such as the guard's, wrapped by the provider's package
        refusal.message = _one_line(mask(refusal.message))
        return refusal
    status = _status(error)
    said = _one_line(mask(_message(error)))
    if status is not None:
        return _by_status(error, status, said)
    for cause in _chain(error):
        if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__:
            return TransientError(f"The model did not answer in time: {said}", code="model-timeout")
        if _is_connection(cause):
            return TransientError(
                f"The connection to the model failed: {said}",
                code="model-unreachable",
                hint="Check base_url and that the server runs.",
            )
    if type(error).__module__.partition(".")[0] in ("openai", "anthropic", "langchain_openai", "groq"):
        return TransientError(f"The model's answer could not be used: {said}", code="model-reply")
    if isinstance(error, (ValueError, TypeError, LookupError, AttributeError)):  # what parsers raise on broken JSON
        kind = type(error).__name__
        return TransientError(f"The model's answer could not be read ({kind}: {said}).", code="model-reply")
    return PermanentError(f"The agent failed: {type(error).__name__}: {said}", code="agent-failed")


def _by_status(error: Exception, status: int, said: str) -> NodeError:
    details = {"status": status}
    if status == 429 and getattr(error, "code", None) in _PERMANENT_429:
        return PermanentError(
            f"The provider's quota is used up: {said}",
            code="model-quota",
            hint="Check the plan and billing of the account that the key belongs to.",
            details=details,
        )
    if status in _TRANSIENT_STATUS or status >= 500:
        code = "model-rate-limited" if status == 429 else "model-unavailable"
        message = f"The model answered {status}: {said}"
        return TransientError(message, code=code, retry_after=retry_after(_headers(error)), details=details)
    return PermanentError(
        f"The model answered {status}: {said}", code="model-refused", hint=_HINTS.get(status), details=details
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_connection(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return True
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"APIConnectionError", "TransportError", "NetworkError", "ProtocolError"})


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and 100 <= status <= 599 else None


def _headers(error: Exception) -> Mapping[str, str]:
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    return headers if headers is not None else {}


def _message(error: Exception) -> str:
    """The provider's own sentence where there is one, else the exception's."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping) and isinstance(inner.get("message"), str):
            return str(inner["message"])
        if isinstance(inner, str):
            return inner
    text = str(error).strip()
    return text or type(error).__name__


def _one_line(text: str) -> str:
    """The text in one line, cut where it is long."""
    text = " ".join(text.split())
    return cut(text, _LONGEST)
