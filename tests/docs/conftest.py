"""A real server for each page that needs one: what a page saves must not meet what another one saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server process with an empty data folder."""
    with running_server(tmp_path / "server-data") as found:
        yield found
