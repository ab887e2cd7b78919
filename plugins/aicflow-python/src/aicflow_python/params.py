"""How a python.code node is configured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aicflow import Code, Params
from pydantic import Field


class PythonParams(Params):
    """`code` is the body of a function: it reads `inputs`, may `await`, and returns a JSON value. Files among the
    inputs can be opened, and new ones returned."""

    code: Annotated[Code, Field(description="The body of a function over `inputs`; `return` sets the node's output.")]
    inputs: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="Values the code sees as `inputs`; references go here, not into code."),
    ]
    scope: Annotated[
        Literal["execution", "call"],
        Field(description="Whether Python nodes of one execution share a process, or each call gets a fresh one."),
    ] = "execution"
    environment: Annotated[
        str, Field(description="Which set of modules may be imported; `default` is the standard library's.")
    ] = "default"
    timeout: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False, description="Seconds of wall time; the operator's when absent.")
    ] = None
    cpu_seconds: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False, description="Seconds of CPU time; the operator's when absent.")
    ] = None
    memory_mb: Annotated[int | None, Field(gt=0, description="MiB of memory; the operator's when absent.")] = None
