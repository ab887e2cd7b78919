"""curl command lines: read into params of http.request, and written from them without credentials. What is imported
here is loaded when it is first asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aicflow import Command, hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow_curl.exporting import to_curl
    from aicflow_curl.importing import CurlImport, from_curl

__all__ = ["CurlImport", "aicflow_commands", "from_curl", "to_curl"]

__getattr__ = lazy_names(__name__, exporting="to_curl", importing="CurlImport from_curl")


@hookimpl
def aicflow_commands() -> Sequence[Command]:
    """`aicflow http from-curl` and `aicflow http to-curl`."""
    place, without = "aicflow_curl.commands", "Write node params as a curl command line, without credentials."
    return [
        Command("from-curl", f"{place}:from_curl_command", "http", "Turn a curl command line into node params."),
        Command("to-curl", f"{place}:to_curl_command", "http", without),
    ]
