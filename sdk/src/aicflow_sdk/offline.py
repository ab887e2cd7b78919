"""Validating without a server, by the `aicflow` command of this environment: this package does not import aicflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from aicflow_sdk.decode import decode
from aicflow_sdk.documents import WorkflowSource, document_bytes
from aicflow_sdk.errors import AICFlowError, ConfigurationError
from aicflow_sdk.models import Validation


def validate(source: WorkflowSource, *, timeout: float = 60.0) -> Validation:
    """All findings about a document, against the node types installed in this environment. Raises ConfigurationError
    when aicflow is not installed, AICFlowError when the command fails."""
    command = _command()
    body, _ = document_bytes(source)
    name = str(source) if isinstance(source, Path) else "-"
    try:
        done = subprocess.run(
            [command, "validate", "--output", "json", name],
            input=b"" if name != "-" else body,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AICFlowError(f"`aicflow validate` did not end within {timeout:g} s.") from None
    except OSError as error:
        raise ConfigurationError(f"`aicflow` cannot be run: {error}.") from None
    try:
        (report,) = json.loads(done.stdout)["files"]
        return decode(Validation, {"valid": report["valid"], "issues": report["issues"]})
    except (ValueError, KeyError, TypeError):
        output = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise AICFlowError(f"`aicflow validate` failed: {output[-2000:]}") from None


def _command() -> str:
    """The command beside this Python, else on the PATH."""
    beside = Path(sys.executable).with_name("aicflow.exe" if sys.platform == "win32" else "aicflow")
    found = str(beside) if beside.is_file() else shutil.which("aicflow")
    if found is None:
        raise ConfigurationError(
            "The command `aicflow` is not installed here.",
            hint="Install it (pip install 'aicflow[standard]'), or let a server validate: "
            "client.workflows.validate(wf).",
        )
    return found
