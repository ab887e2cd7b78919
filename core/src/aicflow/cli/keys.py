"""`aicflow keys …`: through the server when one runs, else in the store itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.say import Output, note, print_json
from aicflow.kernel.errors import AICFlowError

if TYPE_CHECKING:
    from aicflow.host.keys import KeyRing
    from aicflow.host.settings import Settings

keys = App(name="keys", help="Create, list, rotate and revoke API keys.")
_DataDir = Annotated[Path | None, Parameter(help="Folder of the database and the keys")]


@keys.command(name="create")
def create_command(
    name: Annotated[str, Parameter(help="What the key is for")],
    /,
    *,
    scope: Annotated[
        list[str] | None, Parameter(help="read, write, execute or admin; may be repeated", negative="")
    ] = None,
    workflow: Annotated[
        list[str] | None, Parameter(help="Id of a workflow that it is limited to; may be repeated", negative="")
    ] = None,
    label: Annotated[
        list[str] | None,
        Parameter(help="name=value that a workflow needs for the key to reach it; may be repeated", negative=""),
    ] = None,
    from_: Annotated[
        list[str] | None,
        Parameter(name="--from", help="Address or network it may be used from; may be repeated", negative=""),
    ] = None,
    expires_in_days: Annotated[float | None, Parameter(help="Days until it expires")] = None,
    max_queued: Annotated[int | None, Parameter(help="Executions that it started and that may be queued")] = None,
    data_dir: _DataDir = None,
    output: Output = "text",
) -> None:
    """Create an API key and print it. It cannot be shown again."""
    from aicflow.host.requests import CreateApiKey

    scopes = [part for word in scope or ["read"] for part in word.split(",")]
    expires = None
    if expires_in_days is not None:
        if not 0 < expires_in_days < 40_000:
            raise AICFlowError("--expires-in-days must be more than 0 and less than 40,000.")
        expires = datetime.now(UTC) + timedelta(days=expires_in_days)
    limits: dict[str, Any] = {"workflows": workflow or [], "labels": _labels(label or []), "addresses": from_ or []}
    limits |= {"max_queued": max_queued}
    body = {"name": name, "scopes": scopes, "expires_at": expires and expires.isoformat(), **limits}
    limits["addresses"] = _checked(CreateApiKey, body).addresses
    settings, server = _settings(data_dir)
    if server is not None:
        made = server.api.api_keys.create(name, scopes, expires_at=expires, **limits)
    else:

        async def create(ring: KeyRing) -> dict[str, Any]:
            from aicflow.host.views import api_key_view

            end = expires.timestamp() if expires else None
            record, key = await ring.create(name, scopes, expires_at=end, **limits)
            return {**api_key_view(record), "key": key}

        made = _in_store(settings, create, "keys.create")
    _print_key(made, output)


@keys.command(name="rotate")
def rotate_command(
    key_id: Annotated[str, Parameter(help="Its id, as `aicflow keys list` shows it")],
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long the key until now still counts: 30m, 24h, 7d, or 0s")] = "1d",
    data_dir: _DataDir = None,
    output: Output = "text",
) -> None:
    """Replace an API key by another with the same id, scopes and limits, and print it."""
    from aicflow.host.datadir import DataDir
    from aicflow.host.requests import RotateApiKey
    from aicflow.host.retention import age

    try:
        seconds = 0.0 if overlap in ("0", "0s") else age(overlap)
    except ValueError as error:
        raise AICFlowError(f"--overlap: {error}") from None
    _checked(RotateApiKey, {"overlap": seconds})
    settings, server = _settings(data_dir)
    if server is not None:
        made = server.api.api_keys.rotate(key_id, overlap=seconds)
    else:

        async def rotate(ring: KeyRing) -> dict[str, Any]:
            from aicflow.host.views import api_key_view

            record, key = await ring.rotate(key_id, seconds)
            DataDir(settings.data_dir).follow_rotation(record.previous_hash, key, ring.hash)
            return {**api_key_view(record), "key": key}

        made = _in_store(settings, rotate, "keys.rotate")
    _print_key(made, output)


@keys.command(name="ticket")
def ticket_command(*, data_dir: _DataDir = None, output: Output = "text") -> None:
    """Print a ticket that opens one stream of a browser's page, within a minute. Needs a running server."""
    _, server = _settings(data_dir)
    if server is None:
        raise AICFlowError("No server is running on this data folder; a ticket is for one.")
    made = server.api.ticket()
    if output == "json":
        print_json(made)
        return
    print(made["ticket"])
    note(f"It opens one stream, until {made['expires_at']}: add ?ticket=… to the stream's URL.")


def _print_key(made: Any, output: Output) -> None:
    if output == "json":
        print_json(made)
        return
    print(made["key"])
    limits = f", limited to {_limits(made)}" if _limits(made) else ""
    note(f"Key {made['id']} for {made['name']!r} with scopes {', '.join(made['scopes'])}{limits}; shown this once.")
    if made["previous_expires_at"]:
        note(f"The key until now counts until {made['previous_expires_at']}.")


def _limits(made: Any) -> str:
    labels = [f"{name}={value}" for name, value in made["labels"].items()]
    queued = [f"{made['max_queued']} queued"] if made["max_queued"] is not None else []
    return ", ".join([*made["workflows"], *labels, *made["addresses"], *queued])


def _labels(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise AICFlowError(f"--label {name}: write name=value, such as --label team=billing.")
    return {name: value for name, _, value in pairs}


@keys.command(name="list")
def list_command(*, data_dir: _DataDir = None, output: Output = "text") -> None:
    """List API keys, newest first; never the keys themselves."""
    settings, server = _settings(data_dir)
    if server is not None:
        found = list(server.api.api_keys.list())
    else:

        async def read(ring: KeyRing) -> list[dict[str, Any]]:
            from aicflow.host.views import api_key_view

            return [api_key_view(record) for record in sorted(await ring.list(), key=lambda r: -r.created_at)]

        found = _in_store(settings, read)
    if output == "json":
        print_json(found)
        return
    for one in found:
        state = "revoked" if one["revoked_at"] else f"expires {one['expires_at']}" if one["expires_at"] else "active"
        used = f"last used {one['last_used_at']}" if one["last_used_at"] else "never used"
        limits = f"  limited to {_limits(one)}" if _limits(one) else ""
        print(f"{one['id']}  {one['name']}  {','.join(one['scopes'])}  {state}  {used}{limits}")


@keys.command(name="revoke")
def revoke_command(
    key_id: Annotated[str, Parameter(help="Its id, as `aicflow keys list` shows it")], /, *, data_dir: _DataDir = None
) -> None:
    """Revoke an API key; it stops to count at once."""
    settings, server = _settings(data_dir)
    if server is not None:
        server.api.api_keys.revoke(key_id)
    else:
        _in_store(settings, lambda ring: ring.revoke(key_id), "keys.revoke")
    note(f"Key {key_id} is revoked.")


def _checked(model: Any, values: dict[str, Any]) -> Any:
    """The values as the model. Raises AICFlowError."""
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise AICFlowError(f"{where}{first['msg'].removeprefix('Value error, ').rstrip('.')}.") from None


def _settings(data_dir: Path | None) -> tuple[Settings, Any]:
    from aicflow.cli.files import load_settings, running_server
    from aicflow.host.datadir import DataDir

    settings = load_settings(data_dir=data_dir)
    return settings, running_server(DataDir(settings.data_dir))


def _in_store[T](settings: Settings, act: Callable[[KeyRing], Awaitable[T]], action: str = "keys.list") -> T:
    """Do it in the store that no server has open; the audit calls it `action` when it changes something."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.engine.clock import SystemClock
    from aicflow.host.audit import by_command
    from aicflow.host.datadir import DataDir
    from aicflow.host.keys import KeyRing
    from aicflow.host.wiring import make_store

    async def work() -> T:
        data = DataDir(settings.data_dir)
        secret = data.server_secret()
        store = make_store(quiet_plugins(), settings.store_url)
        await store.open()
        try:
            async with by_command(store.audit, secret, SystemClock(), action):
                return await act(KeyRing(store.keys, secret, SystemClock()))
        finally:
            await store.close()

    if settings.store_url.startswith("memory:"):
        raise AICFlowError("A store in memory has keys only while its server runs.")
    return asyncio.run(work())
