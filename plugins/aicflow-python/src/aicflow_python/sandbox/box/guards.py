"""Python-level guards: clear refusals where an author would otherwise meet a bare errno.

They are courtesy and a second line. The boundary is the operating system's and holds with all of these off.
"""

from __future__ import annotations

import builtins
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, NoReturn

REMOVED: Final = {
    "open": "there is no file system in the sandbox; a file among `inputs` has an open() of its own, files.create() "
    "makes new ones",
    "input": "there is no terminal to read from; data comes in through `inputs`",
    "breakpoint": "there is no debugger in the sandbox; use `log(…)`",
    "help": "there is no terminal in the sandbox",
    "exit": "use `return` to end the node, `raise` to fail it",
    "quit": "use `return` to end the node, `raise` to fail it",
}

FORBIDDEN_EVENTS: Final = (
    "open", "os.", "socket.", "subprocess.", "ctypes.", "shutil.", "fcntl.", "mmap.", "sqlite3.", "syslog.", "pty.",
    "glob.", "tempfile.", "webbrowser.", "urllib.", "ftplib.", "http.", "poplib.", "smtplib.", "imaplib.",
    "telnetlib.", "nntplib.", "msvcrt.", "winreg.", "_winapi.", "_posixsubprocess.", "signal.pthread_kill",
    "code.__new__", "function.__new__", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.settrace",
    "sys.setprofile", "sys._current_frames", "sys._current_exceptions", "sys.addaudithook", "cpython.run_",
    "_thread.start_new_thread", "marshal.load", "pickle.find_class",
)  # fmt: skip


IMPLICIT: Final = frozenset({"_strptime", "_pydatetime", "zoneinfo._common", "zoneinfo._tzpath", "_collections_abc"})
"""What C code of allowed modules imports in the name of its caller."""


def import_problem(name: str, allowed: Sequence[str]) -> str | None:
    """Why this module may not be imported, in a sentence, or None. `allowed` holds names, and `package.*`."""
    if name in allowed or f"{name.partition('.')[0]}.*" in allowed:
        return None
    near = difflib.get_close_matches(name, allowed, 1, 0.75)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"The module {name!r} is not allowed in this sandbox.{hint}"


def guarded_builtins(allowed: Sequence[str]) -> dict[str, Any]:
    """A fresh namespace of built-in names for one call."""
    names = dict(vars(builtins))
    for name, reason in REMOVED.items():
        names[name] = refusal(name, reason)
    names["__import__"] = guarded_import(allowed)
    for name in ("copyright", "credits", "license", "__loader__", "__spec__"):
        names.pop(name, None)
    return names


def refusal(name: str, reason: str) -> Callable[..., NoReturn]:
    """A stand-in that says why the thing it replaces is missing."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(f"{name}() is not available: {reason}")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def guarded_import(allowed: Sequence[str]) -> Callable[..., ModuleType]:
    """An `__import__` that returns allowed, already loaded modules and nothing else."""

    def __import__(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level:
            raise ImportError("Relative imports have no meaning in a node: it belongs to no package.")
        problem = import_problem(name, allowed)
        if problem and name not in IMPLICIT:
            raise ImportError(problem, name=name)
        module = sys.modules.get(name)
        if module is None:
            raise ImportError(f"The module {name!r} is allowed but was not loaded when the sandbox started.")
        for part in fromlist or ():
            dotted = f"{name}.{part}"
            if isinstance(getattr(module, part, None), ModuleType) and import_problem(dotted, allowed):
                raise ImportError(f"{part!r} of {name!r} is a module that is not allowed in this sandbox.")
        return module if fromlist else sys.modules[name.partition(".")[0]]

    return __import__


def forbid_events() -> None:
    """Refuse by audit hook what the operating system refuses too. It cannot be taken off again."""

    def hook(event: str, _: tuple[Any, ...], *, forbidden: tuple[str, ...] = FORBIDDEN_EVENTS) -> None:
        if event.startswith(forbidden):
            raise PermissionError(f"{event} is not available in the sandbox")

    sys.addaudithook(hook)
