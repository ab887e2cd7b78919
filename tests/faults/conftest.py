"""A site in a scratch folder, whose workers end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Site


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes sites; what still runs at the end is killed."""
    made: list[Site] = []

    def make(name: str = "site", **spec: object) -> Site:
        made.append(Site(tmp_path / name, **spec))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """One site."""
    return make_site()
