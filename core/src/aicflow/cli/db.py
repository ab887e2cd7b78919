"""`aicflow db …`: how large the store is and whether it is sound, a copy of it, and removing what need not be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.say import Output, complain, print_json
from aicflow.kernel.errors import AICFlowError, StoreUnavailable

if TYPE_CHECKING:
    from aicflow.host.settings import Settings
    from aicflow.kernel.ports.maintenance import RetentionRule
    from aicflow.kernel.ports.store import Store
    from aicflow.store.schema import Migratable

db = App(name="db", help="Maintain the store: size, integrity, backup, retention.")
_DataDir = Annotated[Path | None, Parameter(help="Folder of the database and the keys")]
_Age = Annotated[str | None, Parameter(help="Keep for this long, such as 30d, or by status: succeeded=7d,failed=90d")]
_Count = Annotated[
    str | None, Parameter(help="Keep this many of each workflow, such as 1000, or by status: succeeded=100,failed=500")
]


@db.command(name="doctor")
def doctor_command(
    *,
    quick: Annotated[bool, Parameter(help="Leave out the check of every page and event", negative="")] = False,
    repair: Annotated[
        bool, Parameter(help="Put damage right as far as possible; stop the server first", negative="")
    ] = False,
    data_dir: _DataDir = None,
    output: Output = "text",
) -> int:
    """Show the size of each workflow, what retention would remove, and damage. Leaves with 1 when there is any.

    With --repair, events that can still be read are kept, first and last events are made again from the executions'
    rows, the numbers of lost ones are filled with `event.lost`, and executions under way that lost some end as failed.
    Make a copy of the file before.
    """
    settings = settings_of(data_dir)
    rules = _rules(settings, None, None)

    async def look(store: Store) -> dict[str, Any]:
        sizes = await store.maintenance.sizes()
        removable = await store.maintenance.removable(rules, now=_now())
        repaired = await store.maintenance.repair(now=_now()) if repair else []
        problems = [] if quick else await store.maintenance.integrity()
        return {
            "store": settings.store_url,
            "file_bytes": sizes.bytes,
            "free_bytes": sizes.free_bytes,
            "workflows": [
                {
                    "workflow_id": one.workflow_id,
                    "executions": one.executions,
                    "events": one.events,
                    "bytes": one.bytes,
                    "removable": removable.get(one.workflow_id, 0),
                }
                for one in sizes.workflows
            ],
            "retention": [{"status": r.status, "max_age": r.max_age, "max_count": r.max_count} for r in rules],
            "repaired": repaired,
            "problems": problems,
        }

    found = in_store(settings, look, shared=not repair, action="db.repair" if repair else None)
    if output == "json":
        print_json(found)
        return 1 if found["problems"] else 0
    print(f"{found['store']}: {_size(found['file_bytes'])}, of which {_size(found['free_bytes'])} unused")
    for one in found["workflows"]:
        gone = f", {one['removable']} to be removed" if one["removable"] else ""
        print(f"{one['workflow_id']}: {one['executions']} executions, {_size(one['bytes'])}{gone}")
    if not rules:
        print("Everything is kept: AICFLOW_RETENTION_AGE is forever and AICFLOW_RETENTION_COUNT is not set.")
    for text in found["repaired"]:
        print(f"repaired: {text}")
    for problem in found["problems"]:
        print(f"problem: {problem}")
    if not quick and not found["problems"]:
        print("Sound.")
    return 1 if found["problems"] else 0


@db.command(name="backup")
def backup_command(
    target: Annotated[Path, Parameter(help="File to write; it must not exist")], /, *, data_dir: _DataDir = None
) -> None:
    """Write a consistent copy of the store, also while the server works."""
    settings = settings_of(data_dir)

    async def copy(store: Store) -> int:
        return await store.maintenance.backup(str(target.absolute()))

    if not target.absolute().parent.is_dir():
        raise AICFlowError(f"There is no folder {target.absolute().parent}.")
    print(f"{target}: {_size(in_store(settings, copy))}")


@db.command(name="prune")
def prune_command(
    *,
    age: _Age = None,
    count: _Count = None,
    dry_run: Annotated[bool, Parameter(help="Only show what would be removed", negative="")] = False,
    data_dir: _DataDir = None,
    output: Output = "text",
) -> None:
    """Remove ended executions now, by these rules or else by the settings', and give their space back."""
    settings = settings_of(data_dir)
    rules = _rules(settings, age, count)
    if not rules:
        raise AICFlowError(
            "There is no rule by which to remove anything.",
            hint="Give --age 30d or --count 1000, or set AICFLOW_RETENTION_AGE or AICFLOW_RETENTION_COUNT.",
        )

    async def work(store: Store) -> dict[str, Any]:
        from aicflow.host.housekeeping import sweep

        removable = await store.maintenance.removable(rules, now=_now())
        if dry_run:
            return {"executions": sum(removable.values()), "freed_bytes": 0, "workflows": removable}
        swept = await sweep(store.maintenance, rules, _now())
        return {"executions": swept.executions, "freed_bytes": swept.freed_bytes, "workflows": removable}

    done = in_store(settings, work, action=None if dry_run else "db.prune")
    if output == "json":
        print_json({"dry_run": dry_run, **done})
        return
    for workflow_id, many in sorted(done["workflows"].items()):
        print(f"{workflow_id}: {many} executions")
    verb = "would be removed" if dry_run else f"removed, {_size(done['freed_bytes'])} freed"
    print(f"{done['executions']} executions {verb}")


@db.command(name="status")
def status_command(*, data_dir: _DataDir = None, output: Output = "text") -> int:
    """Show the version of the store's schema and what this version of AIC Flow would apply, and change nothing. Leaves
    with 1 when the schema is older or newer than this version knows."""
    url, store = _migratable(data_dir)
    state = asyncio.run(store.schema())
    if output == "json":
        shown = {"found": state.found, "known": state.known, "pending": state.pending, "newer": state.newer}
        print_json({"store": url, **shown})
    else:
        print(f"{url}: {state.found or 'empty'}; this version knows {state.known}")
        for name in state.pending:
            print(f"to be applied: {name}")
        for name in state.newer:
            print(f"of a newer version: {name}")
        if not (state.pending or state.newer):
            print("Up to date.")
    return 1 if state.pending or state.newer else 0


@db.command(name="migrate")
def migrate_command(*, data_dir: _DataDir = None, output: Output = "text") -> None:
    """Bring the store's schema up to this version of AIC Flow. Servers do it when they start, unless
    AICFLOW_STORE_MIGRATE is manual."""
    url, store = _migratable(data_dir)
    applied = list(asyncio.run(store.migrate()))
    if output == "json":
        print_json({"store": url, "applied": applied})
        return
    for name in applied:
        print(f"applied: {name}")
    if not applied:
        print("Up to date.")


def _migratable(data_dir: Path | None) -> tuple[str, Migratable]:
    """The store that the settings name, not open, and its URL for people. Raises AICFlowError."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.wiring import make_store, without_password
    from aicflow.store.schema import Migratable

    url = settings_of(data_dir).store_url
    store = make_store(quiet_plugins(), url)
    if not isinstance(store, Migratable):
        raise AICFlowError(f"A {type(store).__name__} has no schema that is migrated.")
    return without_password(url), store


@db.command(name="copy")
def copy_command(
    source: Annotated[str, Parameter(help="Store URL to copy from, such as sqlite:////var/lib/aicflow/aicflow.db")],
    target: Annotated[str, Parameter(help="Store URL to copy into, such as postgresql://db.example.com/aicflow")],
    /,
    *,
    data_dir: _DataDir = None,
    output: Output = "text",
) -> int:
    """Copy everything that a store keeps into an empty one, which may be of another kind.

    Stop every server and worker of both before. What waits, is queued or was running goes on in the target, under the
    server's secret of this data folder. It is copied whole or not at all: after an interruption, call it again."""
    settings = settings_of(data_dir)
    copied: dict[str, int] = {}

    def done(table: str, count: int) -> None:
        copied[table] = count
        if output == "text" and count:
            print(f"{table}: {count}", flush=True)

    try:
        problems = asyncio.run(_copy(settings, source, target, done))
    except KeyboardInterrupt:
        complain("Stopped. Nothing was copied.")
        raise
    if output == "json":
        print_json({"rows": copied, "problems": problems})
        return 1 if problems else 0
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{sum(copied.values())} rows copied and compared.")
    return 1 if problems else 0


async def _copy(settings: Settings, source: str, target: str, done: Callable[[str, int], None]) -> list[str]:
    """Copy, then what is wrong with the copy by its own checks."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.engine.clock import SystemClock
    from aicflow.host.agreement import agree_on_secret
    from aicflow.host.audit import by_command
    from aicflow.host.audit_chain import AuditKey, verify_chain
    from aicflow.host.wiring import make_store
    from aicflow.kernel.ports.audit import pending_audit
    from aicflow.store.copying import Copyable, copy_tables
    from aicflow.store.sqlite import SQLiteStore

    plugins = quiet_plugins()
    stores = [make_store(plugins, url) for url in (source, target)]
    for store in stores:
        if not isinstance(store, Copyable):
            raise AICFlowError(f"A {type(store).__name__} cannot be copied from or into.")
    old, new = stores
    if isinstance(old, SQLiteStore) and not old.path.exists():
        raise StoreUnavailable(f"There is no database {old.path}.")
    async with old.copying() as theirs, new.copying() as ours:  # type: ignore[attr-defined]
        await copy_tables(theirs, ours, done)
    await new.open()
    try:
        secret = settings.data.server_secret()
        await agree_on_secret(new, secret)
        async with by_command(new.audit, secret, SystemClock(), "db.copy"):
            pending = pending_audit.get()
            assert pending is not None
            pending.written = True  # here, for nothing else is written that would take it along
            await new.audit.add([pending.entry(pending)])
        problems = await new.maintenance.integrity()
        return [*problems, *(await verify_chain(new.audit, AuditKey(secret)))["problems"]]
    finally:
        await new.close()


def settings_of(data_dir: Path | None) -> Settings:
    """The settings, whose store is one that keeps. Raises AICFlowError."""
    from aicflow.cli.files import load_settings

    settings = load_settings(data_dir=data_dir)
    if settings.store_url.startswith("memory:"):
        raise AICFlowError("A store in memory is only in its server; there is nothing to maintain.")
    return settings


def _rules(settings: Settings, age: str | None, count: str | None) -> list[RetentionRule]:
    from aicflow.host import retention

    if age is None and count is None:
        return settings.retention_rules
    try:
        return retention.rules(retention.ages(age or ""), retention.counts(count or ""))
    except ValueError as error:
        raise AICFlowError(f"{error}.") from None


def _now() -> float:
    from aicflow.engine.clock import SystemClock

    return SystemClock().now()


def in_store[T](
    settings: Settings, act: Callable[[Store], Awaitable[T]], *, shared: bool = True, action: str | None = None
) -> T:
    """Do it in the store, with `shared` beside a server that may have it open. What changes the store is an `action`,
    for the audit."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.wiring import make_store
    from aicflow.store.sqlite import SQLiteStore

    async def work() -> T:
        url = settings.store_url
        # reading, copying and removing what has ended disturbs no server, so the server's lock is left alone
        store: Store = make_store(
            quiet_plugins(), url, {"shared": "yes"} if shared and url.startswith("sqlite:") else {}
        )
        if isinstance(store, SQLiteStore) and not store.path.exists():
            raise StoreUnavailable(f"There is no database {store.path}.", hint="The first start makes it.")
        await store.open()
        try:
            if action is None:
                return await act(store)
            from aicflow.engine.clock import SystemClock
            from aicflow.host.audit import by_command
            from aicflow.host.datadir import DataDir

            async with by_command(store.audit, DataDir(settings.data_dir).server_secret(), SystemClock(), action):
                return await act(store)
        finally:
            await store.close()

    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        complain("Stopped. What was removed so far is removed.")
        raise


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
