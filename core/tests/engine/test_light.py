"""`pip install aicflow` alone: light, and clear about what it cannot do."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest
from aicflow.engine.masking import Mask
from aicflow.engine.sealing import Seal
from aicflow.kernel.errors import AICFlowError
from packaging.requirements import Requirement


def test_what_aicflow_alone_brings() -> None:
    needed = [Requirement(text) for text in importlib.metadata.requires("aicflow") or ()]
    assert {one.name for one in needed if one.marker is None} == {
        "aicflow-language",
        "jsonschema-rs",
        "packaging",
        "pluggy",
        "pydantic",
    }


def test_without_the_libraries_of_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ahocorasick_rs", "cryptography"):
        monkeypatch.setitem(sys.modules, name, None)
    mask, seal = Mask(), Seal()
    assert mask.text("nothing to hide") == "nothing to hide"
    with pytest.raises(AICFlowError, match="Hiding secrets needs ahocorasick-rs, which is not installed") as hiding:
        mask.add("never-shown")
    assert hiding.value.hint == "pip install 'aicflow[server]'"
    assert mask.values == frozenset(), "what cannot be hidden is not taken"
    with pytest.raises(AICFlowError, match="needs cryptography, which is not installed"):
        seal.close(b"value", "place")
