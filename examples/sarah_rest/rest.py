"""Sarah's story with plain HTTP from Python: no SDK, only httpx2 and the REST API."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx2

GREET = Path(__file__).with_name("greet.yaml")


def connect() -> httpx2.Client:
    """A client for the server on this machine: its address and key lie in its data folder."""
    data = Path(os.environ.get("AICFLOW_DATA_DIR", Path.home() / ".aicflow"))
    url = os.environ.get("AICFLOW_URL") or json.loads((data / "server.json").read_text("utf-8"))["url"]
    key = os.environ.get("AICFLOW_API_KEY") or (data / "admin.key").read_text("ascii").strip()
    return httpx2.Client(base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {key}"}, timeout=30)


def main() -> None:
    with connect() as api:
        saved = api.post("/workflows", content=GREET.read_bytes(), headers={"content-type": "application/yaml"})
        saved.raise_for_status()
        workflow = saved.json()
        print("saved", workflow["id"], "with ETag", saved.headers["etag"])

        start = {"workflow_id": workflow["id"], "input": {"name": "Sarah"}}
        ended = api.post("/executions?wait=10", json=start, headers={"idempotency-key": f"greet-{workflow['id']}"})
        print("output:", ended.raise_for_status().json()["output"])
        again = api.post("/executions", json=start, headers={"idempotency-key": f"greet-{workflow['id']}"})
        print(
            "the same execution again:", again.json()["id"] == ended.json()["id"], again.headers["idempotent-replayed"]
        )

        with api.stream("GET", f"/executions/{ended.json()['id']}/stream") as events:
            for line in events.iter_lines():
                if line.startswith("event:"):
                    print("  ", line.removeprefix("event: "))

        refused = api.post("/executions", json={"workflow_id": workflow["id"], "input": {}})
        problem = refused.json()
        print(refused.status_code, problem["type"], "-", problem["detail"])
        api.delete(f"/workflows/{workflow['id']}", headers={"if-match": saved.headers["etag"]}).raise_for_status()


if __name__ == "__main__":
    main()
