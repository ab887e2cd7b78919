"""`aicflow plugins …`: what is installed, who signed it, and whom to trust."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.say import Output, note, print_json, print_rows, print_table
from aicflow.kernel.errors import AICFlowError

plugins = App(name="plugins", help="Plugins: list, keygen, sign, verify, trust, vet.")
_Folder = Annotated[Path | None, Parameter(help="Folder of the database and the keys")]
_Wheel = Annotated[Path, Parameter(help="A wheel: NAME-VERSION-….whl")]


@plugins.default
@plugins.command(name="list")
def list_command(*, output: Output = "text") -> int:
    """List the installed plugins; leaves with 1 when one of them failed."""
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.views import plugin_view
    from aicflow.host.wiring import secrets_of
    from aicflow.store.memory import MemoryStore

    plugins = quiet_plugins()
    for hook in ("aicflow_stores", "aicflow_engines", "aicflow_observers", "aicflow_commands"):
        plugins.collect(hook)  # a hook that fails is a problem to tell
    secrets_of(plugins, MemoryStore())
    plugins.inspect()
    views = [plugin_view(info) for info in plugins.infos]
    if output == "json":
        print_json(views)
    else:
        rows = []
        for view in views:
            types = ", ".join([*view["node_types"], *view["trigger_types"]])
            rows.append((view["name"], view["version"] or "", view["status"], _origin(view["provenance"]), types))
        print_table(("plugin", "version", "status", "files", "types"), rows)
        for view in views:
            for problem in view["problems"]:
                print(f"{view['name']}: {problem['code']}: {problem['message']}")
    return 1 if any(view["status"] in ("failed", "partial") for view in views) else 0


def _origin(provenance: dict[str, Any] | None) -> str:
    if provenance is None:
        return ""
    if provenance["editable"]:
        return "editable"
    signed = {"none": "not signed", "unknown-key": "unknown key", "invalid": "bad signature", "trusted": "signed"}
    return f"{provenance['hashes']}, {signed[provenance['signature']]}"


@plugins.command(name="keygen")
def keygen_command(file: Annotated[Path, Parameter(help="Where the private key goes")], /) -> None:
    """Make a key that signs plugins: the private one into a file that only you can read, the public one is printed."""
    from aicflow.host.datadir import write_private
    from aicflow.host.signatures import new_key

    private, public = new_key()
    try:
        write_private(file, private, replace=False)
    except FileExistsError:
        raise AICFlowError(f"{file} exists already; it is not overwritten.") from None
    except OSError as error:
        raise AICFlowError(f"{file} cannot be written: {error.strerror}.") from None
    print(public)


@plugins.command(name="sign")
def sign_command(
    wheel: _Wheel,
    /,
    *,
    key: Annotated[Path, Parameter(help="File of the private key")],
    embed: Annotated[
        bool, Parameter(help="Put the signature into the wheel too, so that it is installed with it", negative="")
    ] = False,
) -> None:
    """Sign what a wheel installs: the signature is in WHEEL.sig."""
    from aicflow.host import signatures

    text = signatures.sign(signatures.wheel_contents(wheel), key)
    beside = wheel.with_name(f"{wheel.name}.sig")
    try:
        beside.write_text(text, encoding="utf-8")
        if embed:
            signatures.embed(wheel, text)
    except OSError as error:
        raise AICFlowError(f"The signature of {wheel} cannot be written: {error.strerror}.") from None
    note(f"{beside} is the signature." + (" The wheel has it too." if embed else ""))


@plugins.command(name="verify")
def verify_command(
    what: Annotated[str, Parameter(help="A wheel, or the name of an installed distribution")],
    /,
    *,
    signature: Annotated[
        Path | None, Parameter(help="Of a wheel; WHEEL.sig, or the one in the wheel, when not given")
    ] = None,
    data_dir: _Folder = None,
    output: Output = "text",
) -> int:
    """Compare a wheel, or what is installed, with its hashes and its signature; leaves with 1 unless a trusted key
    signed it and nothing was changed. Nothing of it is imported."""
    from aicflow.host.provenance import PluginPolicy

    policy = PluginPolicy.from_environment(data_dir)
    result: dict[str, Any]
    if what.endswith(".whl"):
        result = _verify_wheel(Path(what), signature, policy.keys)
    else:
        try:
            dist = distribution(what)
        except (PackageNotFoundError, ValueError):
            raise AICFlowError(f"No distribution {what!r} is installed.", hint="Give its name, or a wheel.") from None
        found = policy.provenance(dist)
        result = {
            "name": dist.name,
            "version": dist.version,
            "hashes": found.hashes,
            "signature": found.signature,
            "key": found.key,
            "problems": list(found.problems),
        }
        if found.editable:
            result["problems"].insert(0, "it is an editable install, whose sources have no hashes")
    ok = result["signature"] == "trusted" and not result["problems"]
    if output == "json":
        print_json({**result, "ok": ok})
        return 0 if ok else 1
    print(f"{result['name']} {result['version']}: files {result['hashes']}, signature {result['signature']}")
    for text in (result["key"], *result["problems"]):
        if text:
            print(f"  {text}")
    return 0 if ok else 1


def _verify_wheel(wheel: Path, signature: Path | None, keys: Any) -> dict[str, Any]:
    from aicflow.host import signatures

    contents = signatures.wheel_contents(wheel)
    out: dict[str, Any] = {"name": contents.name, "version": contents.version, "hashes": "intact", "problems": []}
    beside = signature or wheel.with_name(f"{wheel.name}.sig")
    try:
        if signature is not None or beside.exists():
            text: str | None = beside.read_text("utf-8")
        else:
            text = signatures.embedded(wheel)
    except (OSError, UnicodeDecodeError) as error:
        raise AICFlowError(f"{beside} cannot be read: {error}.") from None
    if text is None:
        return {**out, "signature": "none", "key": None}
    read = signatures.read_signature(text)
    problem = read.difference(contents)
    if problem is None and not read.valid():
        problem = "the signature was not made by the key that it names"
    known = "trusted" if read.key in keys else "unknown-key"
    return {
        **out,
        "signature": known if problem is None else "invalid",
        "key": read.key,
        "problems": [problem] if problem else [],
    }


@plugins.command(name="trust")
def trust_command(
    key: Annotated[str | None, Parameter(help="A public key; without it the trusted ones are listed")] = None,
    /,
    *,
    name: Annotated[str, Parameter(help="Whose key it is")] = "",
    remove: Annotated[bool, Parameter(help="Trust it no longer", negative="")] = False,
    data_dir: _Folder = None,
    output: Output = "text",
) -> None:
    """Trust a public key, or no longer. Servers see it at their next start."""
    from aicflow.host.datadir import DataDir, default_data_dir, write_private
    from aicflow.host.signatures import key_bytes, trusted_keys

    data = DataDir((data_dir or default_data_dir()).expanduser())
    keys = trusted_keys(data.trusted_keys_file)
    if key is None:
        if remove:
            raise AICFlowError("--remove needs the key that is trusted no longer.")
        print_rows([{"key": one, "name": whose} for one, whose in keys.items()], ("key", "name"), output)
        return
    key_bytes(key)
    if remove and key not in keys:
        raise AICFlowError(f"{key} is not trusted.", hint="`aicflow plugins trust` lists the trusted keys.")
    keys.pop(key, None)
    if not remove:
        keys[key] = " ".join(name.split())
    data.prepare()
    with suppress(FileExistsError):
        data.trusted_keys_file.parent.mkdir(mode=0o700)
    write_private(data.trusted_keys_file, "".join(f"{one} {whose}".rstrip() + "\n" for one, whose in keys.items()))
    note(f"{key} is {'trusted no longer' if remove else 'trusted'}.")


@plugins.command(name="vet")
def vet_command(
    wheel: _Wheel,
    /,
    *,
    report: Annotated[Path | None, Parameter(help="File that the report is written to, as JSON")] = None,
    output: Output = "text",
) -> int:
    """Look at a wheel before it is trusted: archive, metadata, licence, entry points, source, known vulnerabilities,
    and how it loads in a process of its own. Leaves with 0 for `pass`, 3 for `review`, 1 for `reject`."""
    from aicflow.cli.vetting.pipeline import vet

    made = vet(wheel)
    if report is not None:
        try:
            report.write_text(json.dumps(made.to_dict(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise AICFlowError(f"{report} cannot be written: {error.strerror}.") from None
    if output == "json":
        print_json(made.to_dict())
    else:
        print(f"{made.name or made.wheel} {made.version or ''}: {made.verdict}")
        for one in made.findings:
            place = f" {one.file}:{one.line or 1}" if one.file else ""
            print(f"{one.severity:8}{one.check}: {one.code}:{place} {one.message}")
        for check, reason in made.not_run.items():
            print(f"not run {check}: {reason}")
    return {"pass": 0, "review": 3, "reject": 1}[made.verdict]
