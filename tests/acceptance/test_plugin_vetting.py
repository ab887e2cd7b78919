"""`aicflow plugins vet`: an honest plugin passes, harmful ones are found by each rule and never run here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from aicflow.cli.program import run_program
from aicflow.cli.vetting.findings import Report
from aicflow.cli.vetting.pipeline import vet
from aicflow.cli.vetting.rules import look_at

from tests.support.wheels import make_wheel

ROOT = Path(__file__).parents[2]
NEEDS = "License-Expression: MIT\nRequires-Python: >=3.12\nRequires-Dist: aicflow<0.2\n"
HONEST = """\
from aicflow import hookimpl, node


@node("hello.say", pure=True)
def say(whom: str) -> str:
    \"\"\"Say hello.\"\"\"
    return "hello, " + whom


@hookimpl
def aicflow_nodes():
    return [say]
"""


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks that start a process."""
    for name in ("_bandit", "_certification", "_vulnerabilities"):
        monkeypatch.setattr(f"aicflow.cli.vetting.pipeline.{name}", lambda *_: None)


def found(report: Report) -> set[tuple[str, str, str]]:
    return {(one.check, one.severity, one.code) for one in report.findings}


def test_an_honest_plugin_of_ours_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real wheel of aicflow-ifelse, built by its own build backend."""
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    folder = ROOT / "plugins/aicflow-ifelse"
    name = subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True, text=True).stdout
    report = tmp_path / "report.json"
    code = run_program(["plugins", "vet", str(tmp_path / name.strip().splitlines()[-1]), "--report", str(report)])
    said = capsys.readouterr().out
    made = json.loads(report.read_text())
    assert (code, made["verdict"]) == (0, "pass"), said
    assert {"archive", "metadata", "licence", "entry-points", "files", "source", "certification"} <= set(made["checks"])
    assert "logic.if_else" in made["node_types"]
    for check, module in (("bandit", "bandit"), ("vulnerabilities", "pip_audit")):
        if importlib.util.find_spec(module) is None:
            assert "not installed" in made["not_run"][check]
            assert f"not run {check}: " in said
        else:
            assert check in made["checks"] or check in made["not_run"]


@pytest.mark.parametrize(
    ("source", "severity", "code"),
    [
        ("import subprocess", "review", "process"),
        ("from os import system as tidy\ndef f():\n    tidy('x')", "review", "process"),
        ("import os as o\ndef f():\n    o.execv('x', [])", "review", "process"),
        ("def f():\n    from socket import create_connection", "review", "network"),
        ("import urllib.request", "review", "network"),
        ("from aicflow.net import http_client", "note", "guarded-network"),
        ("import ctypes", "review", "native-code"),
        ("def f(x):\n    return eval(x)", "review", "dynamic-code"),
        ("def f(x):\n    return __import__(x)", "review", "dynamic-code"),
        ("def f(x):\n    return __builtins__[x]", "review", "dynamic-code"),
        ("import importlib\ndef f(x):\n    importlib.import_module(x)", "review", "dynamic-code"),
        ("from pickle import loads", "review", "deserialization"),
        ("import sys\ndef f():\n    sys.path.append('x')", "review", "interpreter"),
        ("import os\ndef f():\n    return os.environ['X']", "note", "environment"),
        ("from aicflow.engine import Executions", "review", "private-api"),
        ("X = '" + "QUJD" * 200 + "'", "review", "encoded-data"),
        ("X = '" + "QUJD" * 200 + "'\ndef f(run=exec):\n    exec(g(X))", "reject", "obfuscated-code"),
        ("import base64\ndef f():\n    exec(base64.b64decode('eA=='))", "reject", "obfuscated-code"),
        ("from zlib import decompress as d\ndef f():\n    exec(compile(d(X), X, X))", "reject", "obfuscated-code"),
        ("import os\ndef f():\n    getattr(os, 'sys' + 'tem')('x')", "reject", "obfuscated-code"),
        ("import os\ndef f():\n    getattr(os, 'metsys'[::-1])('x')", "reject", "obfuscated-code"),
        ("import os\nos.system('x')", "reject", "import-effect"),
        ("open('x', 'w')", "reject", "import-effect"),
        ("from pathlib import Path\nPath('x').write_text('y')", "reject", "import-effect"),
        ("from pathlib import Path\nclass A:\n    Path('x').open('a')", "reject", "import-effect"),
        ("import urllib.request\nif True:\n    urllib.request.urlopen('x')", "reject", "import-effect"),
        ("import shutil\ndef f(x=shutil.rmtree('y')): ...", "reject", "import-effect"),
        ("def f(:", "review", "unreadable"),
        ("x = " + "-" * 100_000 + "1", "review", "unreadable"),
    ],
)  # fmt: skip
def test_each_rule_of_the_source(source: str, severity: str, code: str) -> None:
    assert (severity, code) in {(one.severity, one.code) for one in look_at(source, "a.py")}


@pytest.mark.parametrize(
    "source",
    [
        "open('x').read()",
        "def f():\n    open('x', 'w')",
        "if __name__ == '__main__':\n    open('x', 'w')",
        "X = 'a text with words ' * 3\nY = 'See https://example.com/' + 'a' * 80",
        "def f(a):\n    return getattr(a, 'name', None)",
        "import re\nX = re.compile('a')",
    ],
)
def test_honest_source_is_left_alone(source: str) -> None:
    assert look_at(source, "a.py") == []


def test_what_honest_plugins_do_when_they_are_imported_is_not_rejected() -> None:
    """Closing at the end, a TLS context, a late import: to look at, no effects."""
    source = "import atexit, importlib, ssl\natexit.register(print)\nssl.create_default_context()\n"
    source += "importlib.import_module('x')"
    assert {one.severity for one in look_at(source, "a.py")} == {"review"}


def test_effects_that_no_rule_sees_are_refused_when_it_loads(tmp_path: Path) -> None:
    """The name of what is called comes from a function of another module."""
    harm = tmp_path / "harmed"
    names = "def made(letters):\n    return ''.join(letters)\n"
    source = (
        "import io\nfrom hello.names import made\n"
        f"vars(io)[made('open')]({str(harm)!r}, made('w'))\n{HONEST}"
    )  # fmt: skip
    report = vet(make_wheel(tmp_path / "dist", {"hello/__init__.py": source, "hello/names.py": names}, metadata=NEEDS))
    assert ("certification", "reject", "import-effect") in found(report)
    assert report.verdict == "reject"
    assert not harm.exists()


def test_a_process_that_ends_without_a_result_is_rejected(tmp_path: Path) -> None:
    source = f"import os\nos._exit(0)\n{HONEST}"
    report = vet(make_wheel(tmp_path / "dist", {"hello/__init__.py": source}, metadata=NEEDS))
    assert ("certification", "reject", "no-result") in found(report)


def test_a_broken_plugin_is_for_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = HONEST.replace("def aicflow_nodes", "def aicflow_node")
    wheel = make_wheel(tmp_path / "dist", {"hello/__init__.py": source}, metadata=NEEDS)
    assert run_program(["plugins", "vet", str(wheel), "--output", "json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in report["findings"] if one["severity"] == "review"] == ["bad-hook"]


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("start.pth", ("files", "reject", "install-hook")),
        ("sitecustomize.py", ("files", "reject", "install-hook")),
        ("setup.py", ("files", "reject", "install-hook")),
        ("hello/x.pyc", ("files", "reject", "compiled")),
        ("hello/x.so", ("files", "review", "binary")),
        ("json/__init__.py", ("files", "reject", "shadows")),
        ("aicflow/more.py", ("files", "reject", "shadows")),
        ("../up.py", ("archive", "reject", "bad-archive")),
    ],
)
def test_files_that_do_not_belong_into_a_plugin(tmp_path: Path, path: str, finding: tuple[str, str, str]) -> None:
    report = vet(make_wheel(tmp_path / "dist", {"hello/__init__.py": HONEST, path: ""}, metadata=NEEDS))
    assert finding in found(report)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    ("metadata", "finding"),
    [
        ("", ("licence", "review", "no-licence")),
        ("License-Expression: GPL-3.0-only\n", ("licence", "review", "not-permissive")),
        ("License-Expression: MIT AND GPL-3.0-only\n", ("licence", "review", "not-permissive")),
        ("License-Expression: not a licence\n", ("licence", "review", "bad-licence")),
        ("Classifier: License :: OSI Approved :: MIT License\n", ("licence", "note", "no-expression")),
        ("License-Expression: MIT\n", ("metadata", "review", "no-requirement")),
        ("Requires-Dist: aicflow>=0.1\n", ("metadata", "note", "open-requirement")),
        ("Requires-Dist: other @ https://example.com/o.whl\n", ("metadata", "review", "url-requirement")),
        ("Requires-Dist: ???\n", ("metadata", "reject", "bad-requirement")),
    ],
)
def test_metadata_and_licence(tmp_path: Path, metadata: str, finding: tuple[str, str, str]) -> None:
    report = vet(make_wheel(tmp_path / "dist", {"hello/__init__.py": HONEST}, metadata=metadata))
    assert finding in found(report)
    either = vet(
        make_wheel(tmp_path / "e", {"hello/__init__.py": ""}, metadata="License-Expression: GPL-2.0-only OR MIT\n")
    )
    assert not any(check == "licence" for check, _, _ in found(either))


@pytest.mark.parametrize(
    ("answer", "findings", "reason"),
    [
        ({"dependencies": [{"name": "hello", "version": "1.0", "vulns": [{"id": "CVE-1"}]}]}, 1, None),
        ({"dependencies": [{"name": "hello", "version": "1.0", "vulns": []}]}, 0, None),
        ({"dependencies": [{"name": "hello", "skip_reason": "not found"}]}, 0, "knows"),
        ([], 0, "answered"),
    ],
)
def test_known_vulnerabilities_are_for_review_and_silence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object, findings: int, reason: str | None
) -> None:
    """With the answers of pip-audit as it writes them; an index that knows nothing has not checked anything."""
    for name in ("_bandit", "_certification"):
        monkeypatch.setattr(f"aicflow.cli.vetting.pipeline.{name}", lambda *_: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setattr("aicflow.cli.vetting.pipeline._tool", lambda *_: json.dumps(answer))
    report = vet(make_wheel(tmp_path / "dist", {"hello/__init__.py": HONEST}, metadata=NEEDS))
    assert len([one for one in report.findings if one.code == "known-vulnerability"]) == findings
    assert report.verdict == ("review" if findings else "pass")
    if reason is None:
        assert "vulnerabilities" in report.checks
    else:
        assert reason in report.not_run["vulnerabilities"]


def test_a_wheel_of_another_name_and_one_without_a_plugin(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "dist", {"other.py": ""}, metadata=NEEDS)
    renamed = wheel.rename(wheel.with_name("trusty-1.0-py3-none-any.whl"))
    assert {("metadata", "reject", "bad-name"), ("entry-points", "reject", "elsewhere")} <= found(vet(renamed))
    assert run_program(["plugins", "vet", str(tmp_path / "none-1.0-py3-none-any.whl")]) == 2
    assert run_program(["plugins", "vet", str(tmp_path / "none-1.0.tar.gz")]) == 2
