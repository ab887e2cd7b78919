"""Mistakes are found when a workflow is validated: in a sealed process, without running anything."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from aicflow_python import PythonCode
from aicflow_python.sandbox import code_checker
from aicflow_python.sandbox.code_checker import Checker, Problem, Unreadable, check

ALLOWED = ("math", "json")


@pytest.fixture
def checker() -> Checker:
    return Checker()


def found(checker: Checker, code: str) -> tuple[Problem, ...]:
    try:
        return checker.check(code, ALLOWED)
    finally:
        checker.close()


def test_good_code_has_no_problems(checker: Checker) -> None:
    assert found(checker, "import math\nawait thing()\nreturn math.pi") == ()


def test_a_syntax_error_has_a_place(checker: Checker) -> None:
    assert found(checker, "x = 1\ny = = 2") == (Problem("invalid syntax", 2, 5),)


def test_every_forbidden_import_is_told_even_in_branches(checker: Checker) -> None:
    problems = found(checker, "if False:\n    import os\ndef f():\n    from jsn import x\nimport math, sys")
    assert [(problem.line, problem.message.split("'")[1]) for problem in problems] == [
        (2, "os"),
        (4, "jsn"),
        (5, "sys"),
    ]


def test_nothing_is_run(checker: Checker, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"__import__('os').mkdir({str(mark)!r})\nclass A:\n    __import__('os').mkdir({str(mark)!r})"
    assert found(checker, code) == ()
    assert not mark.exists()


def test_code_that_breaks_the_parser_is_a_problem_and_the_next_check_works(checker: Checker) -> None:
    try:
        for code in ("(" * 200_000, "-" * 500_000 + "1", "x = " + "[" * 90 + "]" * 90, "a" + ".b" * 300_000):
            try:
                problems = checker.check(code, ALLOWED)
            except Unreadable:
                problems = check(code, ALLOWED)
            assert all(problem.message for problem in problems)
            assert checker.check("return 1", ALLOWED) == ()
    finally:
        checker.close()


def test_the_checker_is_sealed(checker: Checker) -> None:
    checker.check("return 1", ALLOWED)
    assert checker._process is not None
    status = Path(f"/proc/{checker._process.pid}/status").read_text()
    checker.close()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534" in status


def test_a_killed_checker_comes_back(checker: Checker) -> None:
    checker.check("return 1", ALLOWED)
    assert checker._process is not None
    checker._process.kill()
    checker._process.wait()
    assert found(checker, "return 1") == ()


def test_where_no_process_can_be_started_nothing_is_said_of_the_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(code_checker, "_shared", Checker())
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with caplog.at_level(logging.WARNING, "aicflow_python"):
        assert check("never (checked", ALLOWED) == ()
    assert "code is not checked before it runs" in caplog.text


def test_the_node_points_at_the_characters() -> None:
    code = "x = 1\nimport os\nreturn x"
    (issue,) = PythonCode.check({"code": code})
    assert (issue.code, issue.severity, issue.pointer) == ("param.invalid", "error", "/code")
    assert issue.message == "The module 'os' is not allowed in this sandbox. (line 2)"
    assert issue.span is not None
    assert code[slice(*issue.span)] == "import os"


def test_limits_and_environment_are_checked_with_the_operators_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"code": "import numpy", "memory_mb": 256, "environment": "science"}
    assert [issue.pointer for issue in PythonCode.check(params)] == ["/environment", "/code", "/memory_mb"]
    monkeypatch.setenv("AICFLOW_PYTHON_MEMORY_MB", "512")
    monkeypatch.setenv("AICFLOW_PYTHON_ENVIRONMENTS", "science=numpy")
    assert PythonCode.check(params) == []


def test_an_input_that_is_not_given_is_a_warning() -> None:
    code = "total = inputs['total']\nreturn [inputs.get('other'), inputs['totl'], {'a': 1}['b']]"
    (issue,) = PythonCode.check({"code": code, "inputs": {"total": 1}})
    assert issue.severity == "warning"
    assert issue.message == "The node has no input 'totl'. Did you mean 'total'? (line 2)"
    assert PythonCode.check({"code": code, "inputs": "${{ input }}"}) == []
    assert PythonCode.check({"code": f"inputs = {{}}\n{code}", "inputs": {}}) == []


def test_what_may_be_imported_depends_on_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"code": "import csv\nimport os"}
    assert [issue.hint for issue in PythonCode.check(params)] == ["import os"]
    monkeypatch.setenv("AICFLOW_PYTHON_BACKENDS", "restricted")
    assert [issue.hint for issue in PythonCode.check(params)] == ["import csv", "import os"]
    monkeypatch.setenv("AICFLOW_PYTHON_BACKENDS", "trusted")
    assert PythonCode.check(params) == []


def test_params_that_are_references_are_left_alone() -> None:
    assert PythonCode.check({"code": "return 1", "timeout": "${{ vars.t }}", "environment": "${{ vars.e }}"}) == []
    assert PythonCode.check({}) == []
