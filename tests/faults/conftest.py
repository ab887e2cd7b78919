"""A site in a scratch folder, whose workers end with the test: on SQLite, and on PostgreSQL where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aicflow.testing.postgres import MISSING, Postgres, binaries, running_postgres

from tests.faults.databases import emptied
from tests.faults.processes import Site

sqlite_only = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip(MISSING)
    with running_postgres(fsync="off", max_connections="200") as server:
        yield server


@pytest.fixture(scope="session")
def one_database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.proof)])
def store(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """The URL of a database without a row, None for a file of the site's own."""
    if request.param == "sqlite":
        return lambda: None
    url: str = request.getfixturevalue("one_database")
    return lambda: emptied(url)


@pytest.fixture
def make_site(tmp_path: Path, store: Callable[[], str | None]) -> Iterator[Callable[..., Site]]:
    """Makes sites; what still runs at the end is killed."""
    made: list[Site] = []

    def make(name: str = "site", **spec: object) -> Site:
        made.append(Site(tmp_path / name, store(), **spec))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """One site."""
    return make_site()
