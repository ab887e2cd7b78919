"""A store that cannot answer for a while: callers are told to try again, and triggers come alive by themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow import StoreUnavailable
from aicflow.host import triggers
from aicflow.host.app import create_app
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins

from tests.acceptance.triggers.conftest import hooked
from tests.acceptance.triggers.test_schedules import scheduled


async def test_triggers_saved_while_the_store_stumbles_come_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "_RETRY_SECONDS", 0.02)
    settings = Settings(data_dir=tmp_path, store="memory://", engine="native")
    app = create_app(settings, plugins=installed_plugins(["agent", "http", "python"]))
    async with app.router.lifespan_context(app):
        runtime = app.state.runtime
        store = runtime.store
        save, create, keep = store.triggers.save_state, store.executions.create, store.triggers.keep_delivery
        away = True

        def stumbling(call: Any) -> Any:
            async def called(*given: Any, **more: Any) -> Any:
                if away:
                    raise StoreUnavailable("The disk is full.")
                return await call(*given, **more)

            return called

        store.triggers.save_state = stumbling(save)
        store.executions.create = stumbling(create)
        store.triggers.keep_delivery = stumbling(keep)
        record, _ = await runtime.workflows.create(scheduled("tick", "* * * * * *", overlap="allow"))
        active = runtime.trigger_service.get(f"{record.id}:clock")
        assert (active.status, active.problem) == ("failed", "The disk is full.")

        await runtime.workflows.create(hooked("calls"))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            answer = await client.post("/hooks/calls", json=1)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "disk" not in answer.text
            away = False
            assert (await client.post("/hooks/calls", json=1)).status_code == 202

        async with asyncio.timeout(20):
            while runtime.trigger_service.get(f"{record.id}:clock").status != "active":
                await asyncio.sleep(0.01)
            while not (await store.triggers.deliveries(f"{record.id}:clock", limit=1)).items:
                await asyncio.sleep(0.01)

        # a change that meets the store away leaves the trigger as it was until it can be taken up
        away = True
        await runtime.workflows.replace(record.id, scheduled("tick", "0 0 1 1 *"), None)
        assert runtime.trigger_service.get(f"{record.id}:clock").status == "failed"
        away = False
        async with asyncio.timeout(20):
            while runtime.trigger_service.get(f"{record.id}:clock").status != "active":
                await asyncio.sleep(0.01)
        assert runtime.trigger_service.get(f"{record.id}:clock").binding.version == 2
