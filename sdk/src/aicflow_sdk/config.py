"""Finding the server and the key: in the arguments, the environment, or the data folder of a server on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aicflow_sdk.errors import ConfigurationError

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Address:
    """The address of the server (without a slash at the end) and the key for it."""

    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Address(url={self.url!r}, api_key='…')"


def find_address(
    url: str | None = None,
    api_key: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Address:
    """The address and key: the arguments, else AICFLOW_URL and AICFLOW_API_KEY, else `server.json` and `admin.key` in
    the data folder (`data_dir`, AICFLOW_DATA_DIR, `~/.aicflow`).

    The admin key in the data folder is only used for a server on this machine, so that it is never sent elsewhere.
    Raises ConfigurationError that says what is missing.
    """
    env = os.environ if environ is None else environ
    folder = Path(data_dir or env.get("AICFLOW_DATA_DIR") or Path.home() / ".aicflow").expanduser()
    address = _checked(url or env.get("AICFLOW_URL") or _running(folder))
    if api_key is not None and not api_key.strip():
        raise ConfigurationError("The API key is empty.", hint="Leave api_key out to have it found.")
    key = api_key or env.get("AICFLOW_API_KEY") or None
    if key is None:
        host = urlsplit(address).hostname or ""
        if host not in _LOOPBACK:
            raise ConfigurationError(
                f"No API key for {address}.",
                hint="Set AICFLOW_API_KEY, or pass api_key=…; the key of this machine's own server is not sent there.",
            )
        key = _admin_key(folder)
    if not key.isascii() or not key.isprintable() or " " in key.strip():
        raise ConfigurationError("The API key contains invalid characters.", hint="Copy it again; it is one word.")
    return Address(address, key.strip())


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigurationError(
            f"{url!r} is not a valid server address.", hint="Write it like http://127.0.0.1:8700 (AICFLOW_URL)."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            "The server's address must be scheme, host, port and path only.",
            hint="Pass the key as api_key=… or AICFLOW_API_KEY.",
        )
    return url.rstrip("/").removesuffix("/api/v1")


def _running(folder: Path) -> str:
    """The address that a running server wrote into its data folder."""
    file = folder / "server.json"
    try:
        content = json.loads(file.read_text("utf-8"))
        url, pid = content["url"], content["pid"]
        if isinstance(url, str) and isinstance(pid, int) and _alive(pid):
            return url
        reason = f"The server that wrote {file} no longer runs."
    except FileNotFoundError:
        reason = f"{file} does not exist."
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{file} cannot be read: {error}."
    raise ConfigurationError(
        f"No AIC Flow server found. {reason}",
        hint="Start one with `aicflow serve`, set AICFLOW_URL, or pass url=….",
    )


def _alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a mere question
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _admin_key(folder: Path) -> str:
    file = folder / "admin.key"
    try:
        key = file.read_text("ascii").strip()
    except FileNotFoundError:
        key = ""
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The API key in {file} cannot be read: {error}.") from None
    if not key:
        raise ConfigurationError(
            f"No API key: {file} has none.",
            hint="Set AICFLOW_API_KEY, pass api_key=…, or start the server once: it creates the key.",
        )
    return key
