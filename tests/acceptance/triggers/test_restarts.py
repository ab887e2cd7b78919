"""What a restart finds: secrets that are gone or wrong, and what is mended by the next one."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.triggers.conftest import LIGHT, SECRETS, Site, hooked
from tests.acceptance.triggers.test_drafts import listening
from tests.acceptance.triggers.test_senders import BODY, standard
from tests.support.server import running_server


def signed(path: str, secret: str) -> dict[str, Any]:
    auth = {"type": "hmac", "preset": "standard-webhooks", "secrets": [f"${{{{ secrets.{secret} }}}}"]}
    return hooked(path, auth=auth)


@pytest.mark.slow
def test_secrets_that_are_gone_or_wrong_are_told_and_their_urls_say_try_later(tmp_path: Path) -> None:
    good = SECRETS["AICFLOW_SECRET_STANDARD"]
    names = ("GONE", "BAD", "EMPTY")
    with running_server(tmp_path / "data", {**LIGHT, **{f"AICFLOW_SECRET_{name}": good for name in names}}) as server:
        site = Site(server)
        ids = {name: site.save(signed(name.lower(), name)) for name in names}
        for name in names:
            answer = site.web.post(f"/{name.lower()}", content=BODY, headers=standard(BODY, time.time()))
            assert answer.status_code == 202
        site.close()

    environment = {**LIGHT, "AICFLOW_SECRET_BAD": "%%% not base64", "AICFLOW_SECRET_EMPTY": "", "AICFLOW_GRACE": "60"}
    with running_server(tmp_path / "data", environment) as server:
        site = Site(server)
        for name in names:
            answer = site.web.post(f"/{name.lower()}", content=BODY, headers=standard(BODY, time.time()))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
            assert "ecret" not in answer.text, "what is wrong is for the operator"
            shown = site.api.get(f"/triggers/{ids[name]}:hook").json()
            assert shown["status"] == "failed"
            assert ("AICFLOW_SECRET_GONE" if name == "GONE" else "secret") in shown["problem"]
            assert "%%%" not in shown["problem"]
        test = httpx2.post(f"{server.url}/hooks-test/{ids['GONE']}/hook", headers=server.headers, content=BODY)
        assert (test.status_code, test.json()["type"]) == (409, "urn:aicflow:problem:trigger-failed")

        # its path stays taken until the workflow is gone
        assert site.api.post("/workflows", json=hooked("gone")).status_code == 422
        site.api.delete(f"/workflows/{ids['GONE']}")
        assert site.web.post("/gone").status_code == 404
        replacement = site.save(hooked("gone"))
        assert site.web.post("/gone").status_code == 202

        # a server that stops lets listeners go, however long its grace
        with listening(site, replacement) as events:
            assert events.get(timeout=20)[0] == "ready"
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
        site.close()
    assert "%%%" not in (tmp_path / "data" / "server.log").read_text()

    with running_server(tmp_path / "data", {**LIGHT, "AICFLOW_SECRET_BAD": good}) as server:
        answer = httpx2.post(f"{server.url}/hooks/bad", content=BODY, headers=standard(BODY, time.time()))
        assert (answer.status_code, answer.json()["duplicate"]) == (200, True), "it came before the fault"
