"""One real server for all pages, so that readers may follow them one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server process; what a page saves is there when the next one is followed."""
    with running_server(tmp_path_factory.mktemp("server") / "data") as found:
        yield found
