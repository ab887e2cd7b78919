"""What is installed with AIC Flow and its plugins is under permissive licences, or a named exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import Final

from packaging.requirements import Requirement

PERMISSIVE: Final = frozenset(
    {
        "0BSD", "APACHE-2.0", "BSD-2-CLAUSE", "BSD-3-CLAUSE", "CNRI-PYTHON", "ISC", "MIT", "MIT-0", "MIT-CMU",
        "PSF-2.0", "PYTHON-2.0", "UNLICENSE", "ZPL-2.1",
    }
)  # fmt: skip
WORDS: Final = {
    "apache 2.0": "APACHE-2.0",
    "apache license, version 2.0": "APACHE-2.0",
    "apache software license": "APACHE-2.0",
    "bsd license": "BSD-3-CLAUSE",
    "mit license": "MIT",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
"""How distributions without an SPDX expression say it."""

EXCEPTIONS: Final = {
    "psycopg": "LGPL-3.0: of aicflow-postgres only, used as a library and unchanged",
    "psycopg-binary": "as psycopg",
    "psycopg-pool": "as psycopg",
    "certifi": "MPL-2.0: a file of certificates, unchanged",
    "orjson": "MPL-2.0 beside Apache-2.0 or MIT: used unchanged, by LangGraph",
    "tqdm": "MPL-2.0 beside MIT: used unchanged, by openai",
}


def _ours() -> Iterator[str]:
    for one in distributions():
        if (name := one.metadata["Name"]) and name.lower().startswith("aicflow"):
            yield name


def _installed_with(names: Iterator[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    left = list(names)
    while left:
        name = left.pop()
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if canonical in found:
            continue
        try:
            found[canonical] = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform or version of Python
        for text in found[canonical].requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", "standard")):
                left.append(needed.name)
    return found


def _licences(one: Distribution) -> set[str]:
    """Those that hold: of a choice (`OR`) the permissive ones."""
    meta = one.metadata
    text = meta.get("License-Expression") or (meta.get("License") or "").splitlines()[:1]
    classified = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or () if c.startswith("License :: OSI")]
    told = text if isinstance(text, str) else text[0] if text and len(text[0]) < 60 else ""
    told = told or (classified[0] if classified else "")
    told = WORDS.get(told.lower(), told)
    held: set[str] = set()
    for part in re.split(r"\s+AND\s+", told.replace("(", "").replace(")", "")):
        choice = {one.strip().upper() for one in re.split(r"\s+OR\s+", part)}
        held |= (choice & PERMISSIVE) or choice
    return held


def test_all_licences_are_permissive() -> None:
    installed = _installed_with(_ours())
    assert len(installed) > 60
    other = {
        name: sorted(licences)
        for name, one in installed.items()
        if name not in EXCEPTIONS and not (licences := _licences(one)) <= PERMISSIVE
    }
    assert not other, "find another library, or name the exception here with its reason"
