"""A real server for pages that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server process with an empty data folder."""
    folder: Path = tmp_path_factory.mktemp("data")
    with running_server(folder) as found:
        yield found
