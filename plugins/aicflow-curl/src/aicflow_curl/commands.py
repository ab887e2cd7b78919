"""The commands `aicflow http from-curl` and `aicflow http to-curl`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from aicflow import AICFlowError

Format = Literal["yaml", "json"]


def from_curl_command(command: str, /, *, format: Format = "yaml", inline_secrets: bool = False) -> None:
    """Turn a curl command line into the params of an http.request node.

    Parameters
    ----------
    command:
        The whole command line in quotes; `-` reads it from standard input.
    format:
        How the params are written: yaml or json.
    inline_secrets:
        Leave credentials in the params instead of referring to secrets.
    """
    from aicflow_curl import from_curl

    text = sys.stdin.read() if command == "-" else command
    found = from_curl(text, inline_secrets=inline_secrets, read_file=lambda name: Path(name).read_bytes())
    sys.stdout.write(_written(found.params, format))
    for name in found.secrets:
        sys.stderr.write(f"Store the secret {name!r}; the command line holds its value.\n")
    for note in found.notes:
        sys.stderr.write(f"{note}\n")


def to_curl_command(file: Path, /) -> None:
    """Write the params of an http.request node as a curl command line, without credentials.

    Parameters
    ----------
    file:
        A file with the params as JSON or YAML.
    """
    from aicflow_curl import to_curl

    try:
        params = _read(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AICFlowError(f"{file} cannot be read: {error}") from None
    if not isinstance(params, dict):
        raise AICFlowError(f"{file} does not hold the params of a node.", hint="They are an object with a 'url'.")
    sys.stdout.write(to_curl(params) + "\n")


def _written(params: dict[str, Any], format: Format) -> str:
    """YAML where PyYAML is installed, as it is with the server; JSON, which is YAML too, where it is not."""
    if format == "yaml":
        try:
            import yaml
        except ImportError:
            pass
        else:
            return str(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))
    return json.dumps(params, indent=2, ensure_ascii=False) + "\n"


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            import yaml
        except ImportError:
            raise ValueError("it is not JSON, and YAML needs PyYAML") from None
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError("it is neither JSON nor YAML") from None
