"""Both engines pass the one conformance suite."""

from __future__ import annotations

import pytest
from aicflow.engine.native import NativeEngine
from aicflow.testing.engine_suite import EngineSuite


class TestNativeEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> NativeEngine:
        return NativeEngine()


class TestLangGraphEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> object:
        pytest.importorskip("langgraph")
        from aicflow.engine.langgraph import LangGraphEngine

        return LangGraphEngine()
