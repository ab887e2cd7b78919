"""The workflow that a Python file builds."""

from __future__ import annotations

import runpy
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import aicflow_sdk

from aicflow.kernel.errors import AICFlowError


def document_built_in(file: str, variable: str | None = None) -> dict[str, Any]:
    """The document of the file's workflow, or of the one that the variable holds. The file is run as if imported:
    what is below `if __name__ == "__main__"` is not. What it prints goes to standard error. Raises AICFlowError.
    """
    if not Path(file).is_file():
        raise AICFlowError(f"There is no file {file}.")
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        with redirect_stdout(sys.stderr):
            names = runpy.run_path(file, run_name="aicflow_workflow")
        found = {name: value for name, value in names.items() if isinstance(value, aicflow_sdk.Workflow)}
        if variable is not None:
            found = {name: value for name, value in found.items() if name == variable}
        if len({id(value) for value in found.values()}) == 1:
            return next(iter(found.values())).to_dict()
    except (Exception, SystemExit) as error:
        raise AICFlowError(f"{_place(file, error)}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.pop(0)
    if variable is not None:
        raise AICFlowError(f"{file} has no workflow named {variable}.")
    if not found:
        raise AICFlowError(f"{file} builds no workflow.", hint="Assign one at its top level: wf = Workflow(…).")
    raise AICFlowError(
        f"{file} builds several workflows: {', '.join(sorted(found))}.",
        hint=f"Say which: {file}:{min(found)}",
    )


def _place(file: str, error: BaseException) -> str:
    """The file and the last of its lines that the error passed."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    path = Path(file).resolve()
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() == path
    ]
    return f"{file}:{lines[-1]}" if lines else file
