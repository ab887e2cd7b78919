"""Every example runs against a real server, as its README says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_kit import Server, copied, serve

EXAMPLES = Path(__file__).parents[2] / "examples"


class Place:
    """A copy of the examples and a server for them."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server

    def run(self, *command: str, wanted: int = 0, **environ: str) -> str:
        """What a program of the examples prints."""
        program = [sys.executable, *command] if command[0].endswith(".py") else list(command)
        done = subprocess.run(
            program,
            cwd=self.folder,
            env={**self.server.environ, **environ},
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == wanted, done.stdout + done.stderr
        return done.stdout


def with_plugin(folder: Path) -> Path:
    """What `pip install ./bao_plugin` leaves behind, without asking an index for the build backend: the package beside
    its metadata with the entry point."""
    site = folder / "site"
    copied(EXAMPLES / "bao_plugin" / "src" / "acme_stock", site / "acme_stock")
    info = site / "acme_stock-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-stock\nVersion: 1.0.0\nRequires-Dist: aicflow>=0.1\n"
    )
    (info / "entry_points.txt").write_text("[aicflow]\nacme-stock = acme_stock\n")
    return site


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("examples")
    examples = copied(EXAMPLES, folder / "examples")
    site = with_plugin(folder)
    model = subprocess.Popen(
        [sys.executable, "-u", "-m", "aicflow.testing.chat_server", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    stock = subprocess.Popen(
        [sys.executable, "-u", str(examples / "bao_plugin" / "stock_service.py"), "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert model.stdout is not None
    assert stock.stdout is not None
    try:
        base_url = next(word for word in model.stdout.readline().split() if word.startswith("http"))
        stock_url = stock.stdout.readline().strip()
        environ = {
            "AICFLOW_HTTP_ALLOW_HOSTS": "127.0.0.1",
            "AICFLOW_AGENT_MODEL": "openai:local-rules",
            "AICFLOW_AGENT_BASE_URL": base_url,
            "AICFLOW_AGENT_API_KEY": "none",
            "ACME_STOCK_URL": stock_url,
            "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        }
        with serve(folder / "data", **environ) as server:
            yield Place(examples, server)
    finally:
        for process in (model, stock):
            process.terminate()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


def test_olivia_loads_orders_and_keeps_rejects(place: Place) -> None:
    said = place.run("olivia_etl/etl.py")
    assert "result: {'loaded': 5, 'rejected': 3}" in said
    assert "rejected: 1005 - no customer" in said
    assert "T06:00:00" in said


def test_diego_reviews_the_literature(place: Place) -> None:
    said = place.run("diego_research/review.py")
    assert '"soil-03"' in said
    assert "[judge is done]" in said
    assert "Nothing on this topic." in place.run("diego_research/review.py", "volcano")


def test_bao_has_a_node_of_his_own(place: Place) -> None:
    said = place.run("bao_plugin/order.py").splitlines()
    assert said[0] == "acme.stock comes from acme-stock 1.0.0"
    assert said[1:] == [
        "20 x BOLT-8: taken",
        "20 x NUT-8: only 3 of NUT-8 left",
        "1 x GEAR-1: Acme has no article GEAR-1. [acme-unknown-article]",
    ]


def test_ming_compares_two_workflows(place: Place) -> None:
    lines = place.run("ming_evaluation/evaluate.py").splitlines()
    scores = {line.split()[0]: line.split()[1:] for line in lines[1:] if line.startswith("label")}
    assert set(scores) == {"label-by-words", "label-by-agent"}
    assert all(failed == "0" and accuracy.endswith("%") for accuracy, failed in scores.values())


def test_arun_serves_each_customer(place: Place) -> None:
    said = place.run("arun_service/service.py")
    assert "Hello from the bakery, your order of 10.00 is sent for 4.50." in said
    assert "Dear reader, your order of 60.00 is sent for free." in said
    assert "shipping-bakery: updated\n~ var free_from: value: 20 -> 5" in said
    assert "shipping-bakery is at version 2" in said


def test_sarah_needs_only_http(place: Place) -> None:
    said = place.run("sarah_rest/rest.py")
    assert "output: {'text': 'Hello Sarah'}" in said
    assert "the same execution again: True true" in said
    assert "422 urn:aicflow:problem:input-invalid" in said
    said = place.run("sh", "sarah_rest/rest.sh", PATH=os.environ["PATH"])
    assert 'output {"text":"Hello Sarah"}' in said
    assert "event: execution.succeeded" in said
    assert "input-invalid" in said


def test_alex_deploys_from_a_repository(place: Place) -> None:
    assert "cleanup: new" in place.run("alex_workflows/deploy.py", "--check", wanted=1)
    assert "approve-access: created" in place.run("alex_workflows/deploy.py")
    assert place.run("alex_workflows/deploy.py", "--check").splitlines()[-2:] == [
        "approve-access: no changes",
        "cleanup: no changes",
    ]
    module = place.folder / "alex_workflows" / "workflows" / "cleanup.py"
    module.write_text(module.read_text().replace('"limit_gb": 100', '"limit_gb": 50'))
    assert "~ var limit_gb: value: 100 -> 50" in place.run("alex_workflows/deploy.py", "--check", wanted=1)
    assert "cleanup: updated" in place.run("alex_workflows/deploy.py")
