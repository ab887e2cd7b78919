"""Certifying an unpacked plugin: `python -I -B -m aicflow.cli.vetting.trial FOLDER RESULT`, a process of its own.

It has no network where the kernel lets it leave the namespace of the network, little memory, time and file size, and
what the plugin's modules do when they are imported is watched and refused. Whatever it says comes from a process in
which the plugin's code runs, so it can speak against a plugin and never for it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType
from typing import Any, Final

_WATCHED: Final = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen",
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "ctypes.dlopen", "os.remove",
    "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.kill", "os.putenv", "shutil.rmtree",
)  # fmt: skip
_STANDARD: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def limit() -> bool:
    """Give up what a trial does not need; returns whether the network is out of reach."""
    gib = 1 << 30
    for what, most in (
        (resource.RLIMIT_CPU, 30), (resource.RLIMIT_AS, 4 * gib), (resource.RLIMIT_FSIZE, 1 << 24),
        (resource.RLIMIT_NOFILE, 256), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(what)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))
    try:
        os.unshare(os.CLONE_NEWNET)  # root may
    except (AttributeError, OSError):
        return _unshare_as_user()
    return True


def _unshare_as_user() -> bool:
    user, group = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    except (AttributeError, OSError):
        return False
    return True


def main(folder: str, result: str) -> None:
    """Load the plugins of the folder as the host does, and write down what became of them."""
    isolated = limit()
    from aicflow import __version__
    from aicflow.host.plugins import load_plugins
    from aicflow.host.provenance import PluginPolicy
    from aicflow.host.views import node_type_view, trigger_type_view

    logging.disable(logging.CRITICAL)
    sys.path.insert(0, folder)
    effects: list[str] = []
    watch(folder, effects)
    found = [entry for dist in distributions(path=[folder]) for entry in dist.entry_points if entry.group == "aicflow"]
    plugins = load_plugins([], core_version=__version__, found=found, policy=PluginPolicy())
    for hook in ("aicflow_stores", "aicflow_engines", "aicflow_commands"):
        plugins.collect(hook)
    problems: list[tuple[str, str]] = [problem for info in plugins.infos for problem in info.problems]
    registry = plugins.registry
    for what, view in ((registry.nodes(), node_type_view), (registry.triggers(), trigger_type_view)):
        for one in what:
            try:
                shown: Any = view(one, registry) if view is node_type_view else view(one)  # type: ignore[call-arg, arg-type]
                json.dumps(shown, allow_nan=False)
            except Exception as error:
                problems.append(("bad-type", f"{one.cls.type_id} cannot be shown: {error!r:.300}"))
    answer = {
        "isolated": isolated,
        "problems": problems,
        "effects": effects,
        "node_types": [name for info in plugins.infos for name in info.node_types],
        "trigger_types": [name for info in plugins.infos for name in info.trigger_types],
    }
    Path(result).write_text(json.dumps(answer), encoding="utf-8")


def watch(folder: str, effects: list[str]) -> None:
    """From now on refuse what the plugin's own modules do to the machine."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and _writes(arguments)
        if (event in _WATCHED or writing) and _by(sys._getframe(1), folder):
            effects.append(f"{event} {arguments!r:.200}")
            raise PermissionError(f"{event} is refused while a plugin is vetted")

    sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(set(mode or "") & set("wax+")) or bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))


def _by(frame: FrameType | None, folder: str) -> bool:
    """Whether code of the folder asks for it itself, be it through the standard library or code that it made."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(folder):
            return True
        if not file.startswith("<") and ("site-packages" in file or not file.startswith(_STANDARD)):
            return False
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
