"""A plain process that answers requests on its pipes: the `restricted` and the `trusted` backend. Not sealed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .aio import settle_asyncio
from .running import Runner
from .timers import Timers
from .wire import Channel, encode


def main(argument: str) -> None:
    """Set up the kind that was asked for, say hello, answer until the host goes away."""
    options: dict[str, Any] = json.loads(argument)
    # What the code prints on the C level must not get between the frames.
    reading, writing = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    channel = Channel(reading, writing)
    timers = Timers()
    timers.install()
    layers: dict[str, str] = {}
    if options["kind"] == "restricted":
        from .restricting import compile_restricted_body, preload_restricted, restricted_namespace

        preload_restricted(options["paths"])
        settle_asyncio()
        os.environ.clear()
        base = limit(options, layers)
        layers["restrictedpython"] = "restricted syntax and names"
        runner = Runner(
            channel.send,
            channel.receive,
            timers,
            address_space=base,
            allowed=None,
            compiler=compile_restricted_body,
            namespace=restricted_namespace,
        )
    else:
        sys.path[:] = options["paths"]
        runner = Runner(channel.send, channel.receive, timers, address_space=None, allowed=None)
    channel.send(encode({"hello": layers}))
    while (frame := channel.receive()) is not None:
        runner.answer(frame)


def limit(options: dict[str, Any], layers: dict[str, str]) -> int | None:
    """Take the resource limits that the platform has. The address space used already, None where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    for name, value in (
        (resource.RLIMIT_CPU, options["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (value, value))
    layers["rlimits"] = "CPU, file size, core"
    if sys.platform != "linux":
        return None
    from .seal import own_address_space

    base = own_address_space()
    ceiling = base + options["memory_mb"] * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    layers["rlimits"] = "memory, CPU, file size, core"
    return base
