"""The SDK finds the server of this machine by itself, and never sends its key elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aicflow_sdk import AICFlow, ConfigurationError, Workflow, find_address
from aicflow_sdk import offline as offline_module
from sdk_kit import CLEAN, Server

KEY = "aicf_abc123"


def folder(
    tmp_path: Path, *, url: str = "http://127.0.0.1:8700", pid: int | None = None, key: str | None = KEY
) -> Path:
    (tmp_path / "server.json").write_text(json.dumps({"url": url, "pid": os.getpid() if pid is None else pid}))
    if key is not None:
        (tmp_path / "admin.key").write_text(key + "\n")
    return tmp_path


def test_what_is_given_comes_first_then_the_environment_then_the_data_folder(tmp_path: Path) -> None:
    data = folder(tmp_path)
    environ = {"AICFLOW_DATA_DIR": str(data)}
    assert find_address(environ=environ) == find_address("http://127.0.0.1:8700", KEY, environ={})
    environ |= {"AICFLOW_URL": "https://flows.example/", "AICFLOW_API_KEY": "aicf_env"}
    found = find_address(environ=environ)
    assert (found.url, found.api_key) == ("https://flows.example", "aicf_env")
    given = find_address("http://[::1]:9/base/api/v1", "aicf_given", environ=environ)
    assert (given.url, given.api_key) == ("http://[::1]:9/base", "aicf_given")
    assert find_address(environ={}, data_dir=data).api_key == KEY
    assert KEY not in repr(find_address(environ={}, data_dir=data))


def test_the_local_key_is_for_local_servers_only(tmp_path: Path) -> None:
    data = folder(tmp_path)
    assert find_address("http://localhost:1", environ={}, data_dir=data).api_key == KEY
    for elsewhere in ("https://flows.example", "http://127.0.0.1.evil.example", "http://10.0.0.1"):
        with pytest.raises(ConfigurationError, match="No API key for"):
            find_address(elsewhere, environ={}, data_dir=data)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.json does not exist.*(?s:.)*aicflow serve"):
        AICFlow(data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="no longer runs"):
        find_address(environ={}, data_dir=folder(tmp_path, pid=_ended_pid()))
    for wrong in ("", "{}", "[]", '{"url": 5, "pid": "x"}'):
        (tmp_path / "server.json").write_text(wrong)
        with pytest.raises(ConfigurationError, match="No AIC Flow server found"):
            find_address(environ={}, data_dir=tmp_path)
    (tmp_path / "admin.key").unlink()
    with pytest.raises(ConfigurationError, match="No API key:"):
        find_address(environ={}, data_dir=folder(tmp_path, key=None))


@pytest.mark.parametrize(
    "url",
    [
        "flows.example",
        "ftp://x",
        "http://",
        "http://x:notaport",
        "http://u:p@x",
        "http://x/?a=1",
        "http://x:99999",
        "http://[",
    ],
)
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        find_address(url, "k", environ={})


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "größe", " "])
def test_keys_that_are_none_are_refused_without_showing_them(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_address("http://x", key, environ={})
    assert key.strip() == "" or key not in str(caught.value)


def _ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_program_without_arguments_finds_the_running_server(server: Server) -> None:
    program = "from aicflow_sdk import AICFlow\nwith AICFlow() as c: print(c, c.ready().status)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=server.environ, capture_output=True, text=True
    )
    assert done.stdout == f"AICFlow('{server.url}') ready\n", done.stderr


def test_the_sdk_does_not_need_aicflow() -> None:
    """Nothing of aicflow is imported, and what is imported is there without it."""
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] in ('aicflow', 'pydantic', 'aicflow_python'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from aicflow_sdk import AICFlow, Workflow\n"
        "wf = Workflow('w')\n"
        "wf.http('https://example.com')\n"
        "print(len(wf.to_yaml()), len(wf.to_python()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_building_a_workflow_does_not_load_the_http_client() -> None:
    program = (
        "import sys\n"
        "from aicflow_sdk import AICFlow, Workflow, fn\n"
        "Workflow('w').http('https://example.com')\n"
        "assert not {'httpx2', 'websockets', 'yaml'} & set(sys.modules)\n"
        "AICFlow('http://127.0.0.1:1', 'k').close()\n"
        "assert 'httpx2' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestOffline:
    def test_findings_without_a_server(self, tmp_path: Path) -> None:
        wf = Workflow("w")
        wf.python("return (", "broken")
        found = wf.validate()
        assert not found.valid
        assert found.issues[0].pointer == "/nodes/0/params/code"
        assert str(found).startswith("not valid\nerror param.invalid at /nodes/0/params/code")
        file = tmp_path / "w.yaml"
        wf.save(file)
        assert offline_module.validate(file).issues[0].line is not None

    def test_without_the_command_it_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigurationError, match=r"not installed here.*(?s:.)*client\.workflows\.validate"):
            Workflow("w").validate()

    def test_a_command_that_fails_is_an_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        command = tmp_path / "aicflow"
        command.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
        command.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(Exception, match="no luck"):
            Workflow("w").validate()
