"""How the processes of the box are started: a clean interpreter that runs the `main` of one of its modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

ISOLATED: Final = ("-I", "-S")
# asyncio would load OpenSSL's TLS, for servers and clients that nobody can have in there.
WITHOUT_TLS: Final = "sys.modules['ssl'] = None; "
BOOT: Final = (
    "import sys; {}sys.path.insert(0, sys.argv[1]); from box.{} import main; del sys.path[0]; main(*sys.argv[2:])"
)


def box_command(module: str, *arguments: str, isolated: bool = True) -> list[str]:
    """The command that runs `main` of a module of the box with texts as arguments. Isolated: without site-packages,
    the user's settings and TLS."""
    boot = BOOT.format(WITHOUT_TLS if isolated else "", module)
    home = str(Path(__file__).parent)
    return [sys.executable, *(ISOLATED if isolated else ["-P"]), "-X", "utf8", "-c", boot, home, *arguments]


def library_path() -> dict[str, str]:
    """All that the interpreter needs of the host's environment to find its own library."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
