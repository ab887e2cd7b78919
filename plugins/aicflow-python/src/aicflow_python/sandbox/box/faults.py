"""Says in plain data what went wrong in the author's code: type, message, lines of the author's frames only."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

from .compiling import ENTRY, FILENAME

MESSAGE: Final = 4000
FRAMES: Final = 10
CAUSES: Final = 3


def describe(error: BaseException, depth: int = 0) -> dict[str, Any]:
    """`{"type", "bases", "message", "line", "column", "frames": [[line, function], …], "cause"}`.

    Nothing here trusts the exception: its class, its text and its links are the author's.
    """
    frames = author_frames(error.__traceback__)
    fault: dict[str, Any] = {
        "type": type_name(error),
        "bases": [class_name(cls) for cls in type.__dict__["__mro__"].__get__(type(error))[:20]],
        "message": message(error),
        "line": frames[-1][0] if frames else None,
        "frames": frames if len(frames) <= 2 * FRAMES else [*frames[:FRAMES], *frames[-FRAMES:]],
    }
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        fault["message"] = clip(str(error.msg))
        fault["line"] = error.lineno if isinstance(error.lineno, int) else None
        fault["column"] = error.offset if isinstance(error.offset, int) else None
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if isinstance(cause, BaseException) and depth < CAUSES:
        fault["cause"] = describe(cause, depth + 1)
    return fault


def message(error: BaseException) -> str:
    """The exception's text, or why there is none."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, BaseExceptionGroup):
            parts = "; ".join(f"{type_name(one)}: {message(one)}" for one in error.exceptions[:5])
            text = f"{text}: {parts}"
        return clip(text)
    except Exception as failure:
        return f"(its text cannot be made: {type_name(failure)})"


def type_name(error: BaseException) -> str:
    """The class's name; an author's class may have any."""
    return class_name(type(error))


def class_name(cls: type) -> str:
    """What `type` itself says the name is."""
    return clip(type.__dict__["__name__"].__get__(cls), 200)


def clip(text: Any, limit: int = MESSAGE) -> str:
    """At most this many characters of real text that can be sent."""
    if not isinstance(text, str):
        return ""
    plain = "".join((text,))
    if len(plain) > limit:
        plain = f"{plain[:limit]}… ({len(plain) - limit} more characters)"
    return plain.encode("utf-8", "replace").decode()


def author_frames(traceback: TracebackType | None) -> list[list[Any]]:
    """`[line, function]` of each frame of the author's, outermost first."""
    frames: list[list[Any]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == FILENAME:
            name = "<node>" if code.co_name == ENTRY else clip(code.co_name, 200)
            frames.append([traceback.tb_lineno, name])
            if len(frames) > 4 * FRAMES:
                del frames[FRAMES : 2 * FRAMES]
        traceback = traceback.tb_next
    return frames


def last_line(error: BaseException) -> int | None:
    """The innermost line of the author's code in the traceback."""
    frames = author_frames(error.__traceback__)
    return frames[-1][0] if frames else None
