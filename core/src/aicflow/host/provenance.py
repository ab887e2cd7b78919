"""Where an installed plugin comes from, and whether the settings admit it: its files are compared with their hashes and
with what was signed, before anything of it is imported."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.machinery import all_suffixes
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Final, Literal, get_args

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from aicflow.host.datadir import DataDir, default_data_dir
from aicflow.host.signatures import (
    SIGNATURE_FILE,
    Contents,
    by_installer,
    is_inside,
    matches,
    read_signature,
    record_hashes,
    trusted_keys,
)
from aicflow.kernel.errors import AICFlowError

type Policy = Literal["any", "listed", "trusted"]

_VIRTUALENV: Final = "_virtualenv.pth"  # virtualenv and uv write it into each environment, beside any RECORD


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plugin's distribution comes from. `problems` say why its files cannot be relied upon."""

    installer: str | None
    editable: bool
    hashes: Literal["intact", "changed"]
    signature: Literal["trusted", "unknown-key", "invalid", "none"]
    key: str | None
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, str | bool | None]:
        """As the API shows it."""
        return {
            "installer": self.installer,
            "editable": self.editable,
            "hashes": self.hashes,
            "signature": self.signature,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class PluginPolicy:
    """Which plugins are imported: any, those of listed distributions, or those that a trusted key signed."""

    kind: Policy = "any"
    listed: tuple[Requirement, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=default_data_dir)
    """The data folder."""

    @classmethod
    def make(cls, kind: str, listed: Sequence[str], keys: Sequence[str], folder: Path) -> PluginPolicy:
        """From the values of the settings. Raises AICFlowError."""
        kinds: dict[str, Policy] = {one: one for one in get_args(Policy.__value__)}
        if kind not in kinds:
            raise AICFlowError(f"AICFLOW_PLUGINS_POLICY must be any, listed or trusted, not {kind!r}.")
        trusted = trusted_keys(DataDir(folder).trusted_keys_file, keys)
        return cls(kinds[kind], tuple(map(listed_distribution, listed)), trusted, folder)

    @classmethod
    def from_environment(cls, folder: Path | None = None) -> PluginPolicy:
        """From the variables, without the cost of reading every setting. Raises AICFlowError."""
        listed, keys = (
            [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
            for name in ("AICFLOW_PLUGINS_LISTED", "AICFLOW_PLUGINS_KEYS")
        )
        kind = os.environ.get("AICFLOW_PLUGINS_POLICY") or "any"
        return cls.make(kind, listed, keys, folder or default_data_dir())

    def provenance(self, dist: Distribution) -> Provenance:
        """Look at every file of a distribution, and at its signature."""
        contents, problems = _installed(dist)
        signature, key, more = self._signature(dist, contents)
        return Provenance(
            installer=(dist.read_text("INSTALLER") or "").strip() or None,
            editable=_is_editable(dist),
            hashes="changed" if problems else "intact",
            signature=signature,
            key=key,
            problems=(*problems, *more),
        )

    def refusal(self, entry: EntryPoint) -> tuple[tuple[str, str] | None, Provenance | None]:
        """Why the policy does not let this plugin be imported, as code and message, and what was seen of it."""
        if self.kind == "any":
            return None, None
        dist = entry.dist
        if dist is None:
            return ("not-checked", "it belongs to no distribution, so its files cannot be checked"), None
        fits = any(
            canonicalize_name(one.name) == canonicalize_name(dist.name)
            and one.specifier.contains(dist.version, prereleases=True)
            for one in self.listed
        )
        if self.kind == "listed" and not fits:
            text = f"{dist.name} {dist.version} is not in AICFLOW_PLUGINS_LISTED"
            return ("not-listed", text), None
        found = self.provenance(dist)
        if found.editable:
            text = "it is an editable install, whose sources have no hashes; install it from a wheel"
            return ("editable", text), found
        if found.hashes != "intact":
            return ("changed-files", found.problems[0]), found
        problem = next(_misplaced(entry, dist), None)
        if problem is not None:
            return ("changed-files", problem), found
        if self.kind == "trusted" and found.signature != "trusted":
            code, text = {
                "none": ("not-signed", f"{dist.name} {dist.version} has no signature"),
                "unknown-key": ("unknown-key", f"it is signed by {found.key}, which is not trusted"),
                "invalid": ("bad-signature", (found.problems or ("its signature is not valid",))[0]),
            }[found.signature]
            return (code, text), found
        return None, found

    def protect_bytecode(self) -> None:
        """Under a policy, compiled modules are read from the data folder: those beside the sources have no hashes."""
        if self.kind != "any":
            cache = self.folder / "pycache"
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            sys.pycache_prefix = str(cache)

    def _signature(
        self, dist: Distribution, contents: Contents
    ) -> tuple[Literal["trusted", "unknown-key", "invalid", "none"], str | None, list[str]]:
        beside = DataDir(self.folder).signatures_dir / f"{canonicalize_name(dist.name)}-{dist.version}.sig"
        try:
            text = beside.read_text("utf-8") if beside.exists() else dist.read_text(SIGNATURE_FILE)
            if text is None:
                return "none", None, []
            signature = read_signature(text)
        except (AICFlowError, OSError, UnicodeDecodeError) as error:
            return "invalid", None, [f"its signature cannot be read: {error}"]
        difference = signature.difference(contents)
        if difference is not None:
            return "invalid", signature.key, [difference]
        if not signature.valid():
            return "invalid", signature.key, ["its signature was not made by the key that it names"]
        return "trusted" if signature.key in self.keys else "unknown-key", signature.key, []


def listed_distribution(text: str) -> Requirement:
    """An entry of AICFLOW_PLUGINS_LISTED. Raises AICFlowError."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        raise AICFlowError(
            f"AICFLOW_PLUGINS_LISTED: {text!r} is not the name of a distribution.",
            hint="Write names, or names with versions: aicflow-http,aicflow-data==0.1.0.",
        ) from None


def _is_editable(dist: Distribution) -> bool:
    try:
        origin = json.loads(dist.read_text("direct_url.json") or "{}")
        return bool(origin.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _installed(dist: Distribution) -> tuple[Contents, list[str]]:
    """What is installed of a distribution, and what is wrong with its files."""
    base = Path(str(dist.locate_file("")))
    record = dist.read_text("RECORD")
    files: dict[str, str] = {}
    contents = Contents(dist.name, dist.version, files)
    if record is None:
        return contents, ["it has no RECORD, so its files cannot be checked"]
    hashes = record_hashes(record)
    folder = next((p.partition("/")[0] for p in hashes if p.partition("/")[0].endswith(".dist-info")), "")
    problems = []
    for path, recorded in hashes.items():
        if not is_inside(path):  # commands of its entry points: nothing of the host imports them
            continue
        if _is_cache(path):
            continue
        if path.endswith(".pth"):
            problems.append(f"{path} runs code at each start of Python")
            continue
        try:
            content = (base / path).read_bytes()
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror or error}")
            continue
        if not by_installer(path, folder):
            files[path] = sha256(content).hexdigest()
        if not recorded and not by_installer(path, folder):
            problems.append(f"{path} has no hash in RECORD")
        elif recorded and not matches(content, recorded):
            problems.append(f"{path} is not what RECORD says")
    problems.extend(_added(base, hashes))
    return contents, problems


def _is_cache(path: str) -> bool:
    parts = path.split("/")
    return len(parts) > 1 and parts[-2] == "__pycache__" and path.endswith(".pyc")


def _added(base: Path, hashes: Mapping[str, str]) -> Iterator[str]:
    """Files that came into the folders of a distribution beside its RECORD. A folder is its own from the topmost one
    down that has a file of it; the parts of a namespace package above belong to many."""
    parents = {path.rpartition("/")[0] for path in hashes if is_inside(path)} - {""}
    tops = [one for one in parents if not any(one != top and one.startswith(f"{top}/") for top in parents)]
    for top in sorted(tops):
        for place, folders, names in os.walk(base / top):
            inner = Path(place).relative_to(base).as_posix()
            for name in folders:
                if os.path.islink(os.path.join(place, name)):
                    yield f"{inner}/{name} is a link to another folder"
            for name in names:
                path = f"{inner}/{name}"
                if path not in hashes and not _is_cache(path) and path != f"{top}/RECORD":
                    yield f"{path} is not in RECORD"


def _misplaced(entry: EntryPoint, dist: Distribution) -> Iterator[str]:
    """Why importing the plugin would run other code than that of its distribution."""
    base = Path(str(dist.locate_file(""))).resolve()
    paths = {path for path in record_hashes(dist.read_text("RECORD") or "") if is_inside(path)}
    inner = entry.module.replace(".", "/")
    if not any(inner + end in paths for suffix in all_suffixes() for end in (suffix, f"/__init__{suffix}")):
        yield f"its entry point {entry.value!r} is a module of another distribution"
        return
    tops = {path.partition("/")[0] for path in paths if path.endswith(tuple(all_suffixes()))}
    for top in sorted({name.partition(".")[0] for name in tops}):
        spec = importlib.util.find_spec(top)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
        if origin is None or not origin.is_relative_to(base) or origin.relative_to(base).as_posix() not in paths:
            yield f"importing {top!r} would run {origin or 'a package without __init__'}, which is not in RECORD"
    for name in sorted(file.name for file in base.glob("*.pth") if file.name != _VIRTUALENV):
        if not any(name in record_hashes(one.read_text("RECORD") or "") for one in distributions(path=[str(base)])):
            yield f"{base / name} runs code at each start of Python, and no distribution lists it"
