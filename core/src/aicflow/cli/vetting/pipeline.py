"""The checks of `aicflow plugins vet`, one after the other, and the report that they make."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import PackageNotFoundError, PathDistribution, version
from pathlib import Path
from typing import Any, Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from aicflow.cli.vetting.findings import Finding, Report, Severity
from aicflow.cli.vetting.rules import look_at
from aicflow.host.signatures import wheel_contents
from aicflow.kernel.errors import AICFlowError

PERMISSIVE: Final = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    ]
)
_CLASSIFIERS: Final = ("Apache", "BSD License", "ISC", "MIT", "Python Software Foundation", "Unlicense", "zlib")
_SECONDS: Final = 60
_HOOKS: Final = frozenset({"setup.py", "sitecustomize.py", "usercustomize.py", "conftest.py"})
_BINARY: Final = (".so", ".pyd", ".dll", ".dylib", ".exe", ".a", ".o")
_MAX_RESULT: Final = 1 << 20


def vet(wheel: Path) -> Report:
    """Look at a wheel. Raises AICFlowError when there is none to read."""
    if wheel.suffix != ".whl":
        raise AICFlowError(
            f"{wheel} is not a wheel.",
            hint="A source distribution runs its own code when it is built. Build a wheel where that does no harm, "
            "and vet the wheel.",
        )
    try:
        with wheel.open("rb") as file:
            report = Report(wheel.name, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise AICFlowError(f"{wheel} cannot be read: {error.strerror}.") from None
    report.checks.append("archive")
    try:
        contents = wheel_contents(wheel)
    except AICFlowError as error:
        report.findings.append(Finding("archive", "reject", "bad-archive", error.message))
        return report
    report.name, report.version = contents.name, contents.version
    with tempfile.TemporaryDirectory(prefix="aicflow-vet-") as place:
        folder = Path(place).resolve() / "wheel"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        info = next(folder.glob("*.dist-info"))
        metadata = HeaderParser().parsestr((info / "METADATA").read_text("utf-8", "replace"))
        report.checks.extend(("metadata", "licence", "entry-points", "files", "source"))
        report.findings.extend(_metadata(wheel, metadata))
        report.findings.extend(_licence(metadata))
        report.findings.extend(_entry_points(PathDistribution(info), contents.files))
        report.findings.extend(_files(contents.files))
        for path in sorted(contents.files):
            if path.endswith((".py", ".pyw")):
                report.findings.extend(look_at((folder / path).read_bytes(), path))
        _bandit(folder, report)
        _vulnerabilities(metadata, Path(place), report)
        if any(finding.severity == "reject" for finding in report.findings):
            report.not_run["certification"] = "the plugin is rejected already; its code is not run"
        else:
            _certification(folder, Path(place), report)
    return report


def _metadata(wheel: Path, metadata: Message) -> Iterator[Finding]:
    def found(severity: Severity, code: str, message: str) -> Finding:
        return Finding("metadata", severity, code, message)

    try:
        named, number, _, _ = parse_wheel_filename(wheel.name)
        same = named == canonicalize_name(str(metadata["Name"])) and str(number) == str(metadata["Version"])
    except InvalidWheelFilename as error:
        yield found("reject", "bad-name", str(error))
    else:
        if not same:
            yield found("reject", "bad-name", f"the wheel holds {metadata['Name']} {metadata['Version']}")
    for name in ("Summary", "Requires-Python"):
        if not metadata[name]:
            yield found("note", "incomplete", f"{name} is missing")
    ours = None
    for text in metadata.get_all("Requires-Dist", []):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            yield found("reject", "bad-requirement", f"{text}: {error}")
            continue
        if requirement.url:
            yield found("review", "url-requirement", f"{text} comes from an address, beside the package index")
        if canonicalize_name(requirement.name) == "aicflow":
            ours = requirement
    if ours is None:
        yield found("review", "no-requirement", "does not say which aicflow it needs")
    elif not any(one.operator in ("<", "<=", "==", "~=") for one in ours.specifier):
        yield found("note", "open-requirement", f"{ours} has no upper end")


def _licence(metadata: Message) -> Iterator[Finding]:
    expression = metadata["License-Expression"]
    if not expression:
        classifiers = [one for one in metadata.get_all("Classifier", []) if one.startswith("License ::")]
        if classifiers and all(any(word in one for word in _CLASSIFIERS) for one in classifiers):
            yield Finding("licence", "note", "no-expression", f"says its licence by {classifiers[0]!r} only")
        else:
            yield Finding("licence", "review", "no-licence", "has no License-Expression (SPDX)")
        return
    try:
        canonical = canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        yield Finding("licence", "review", "bad-licence", str(error))
        return
    names = [word for word in re.split(r"[()\s]+", canonical) if word not in ("", "AND", "OR", "WITH")]
    either = " OR " in canonical and " AND " not in canonical
    if not (any if either else all)(name in PERMISSIVE for name in names):
        yield Finding("licence", "review", "not-permissive", f"{canonical} is not in the list of permissive licences")


def _entry_points(dist: PathDistribution, files: Any) -> Iterator[Finding]:
    ours = 0
    for entry in dist.entry_points:
        inner = entry.module.replace(".", "/")
        text = f"{entry.group}: {entry.name} = {entry.value}"
        if not any(path in (f"{inner}.py", f"{inner}/__init__.py") for path in files):
            yield Finding("entry-points", "reject", "elsewhere", f"{text} is no module of the wheel")
        if entry.group == "aicflow":
            ours += 1
        elif entry.group in ("console_scripts", "gui_scripts"):
            yield Finding("entry-points", "note", "command", f"installs a command: {text}")
        else:
            yield Finding("entry-points", "review", "other-program", f"is a plugin of another program: {text}")
    if not ours:
        yield Finding("entry-points", "reject", "no-plugin", "has no entry point of the group aicflow")


def _files(files: Any) -> Iterator[Finding]:
    tops = set()
    for path in sorted(files):
        top, _, rest = path.partition("/")
        if path.endswith(".pth") or (not rest and top in _HOOKS):
            yield Finding("files", "reject", "install-hook", "runs without being imported by the host", path)
        elif path.endswith(".pyc"):
            yield Finding("files", "reject", "compiled", "is compiled code without its source", path)
        elif path.endswith(_BINARY):
            yield Finding("files", "review", "binary", "is native code, which is not looked at", path)
        if path.endswith((".py", *_BINARY)):
            tops.add(top.partition(".")[0])
    for top in sorted(tops):
        if top in sys.stdlib_module_names or top in ("aicflow", "aicflow_language", "aicflow_sdk"):
            yield Finding("files", "reject", "shadows", f"its module {top!r} takes the place of another one")


def _bandit(folder: Path, report: Report) -> None:
    if importlib.util.find_spec("bandit") is None:
        report.not_run["bandit"] = "bandit is not installed: pip install 'aicflow[vet]'"
        return
    severities: dict[str, Severity] = {"HIGH": "review", "MEDIUM": "review"}
    try:
        out = _tool("bandit", "-r", str(folder), "-f", "json", "-q", "--ignore-nosec")
        for one in json.loads(out)["results"]:
            file = Path(one["filename"]).relative_to(folder).as_posix()
            severity = severities.get(one["issue_severity"], "note")
            found = Finding("bandit", severity, one["test_id"], one["issue_text"], file, one["line_number"])
            report.findings.append(found)
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        report.not_run["bandit"] = f"bandit did not answer: {error!r:.200}"
    else:
        report.checks.append("bandit")


def _vulnerabilities(metadata: Message, place: Path, report: Report) -> None:
    """Ask for the wheel and for its requirements, in the versions that are installed here."""
    if importlib.util.find_spec("pip_audit") is None:
        report.not_run["vulnerabilities"] = "pip-audit is not installed: pip install 'aicflow[vet]'"
        return
    pinned = {canonicalize_name(str(metadata["Name"])): str(metadata["Version"])}
    for text in metadata.get_all("Requires-Dist", []):
        try:
            name = canonicalize_name(Requirement(text).name)
            pinned[name] = version(name)
        except (InvalidRequirement, PackageNotFoundError):
            continue
    listed = place / "requirements.txt"
    listed.write_text("".join(f"{name}=={number}\n" for name, number in pinned.items()), encoding="utf-8")
    arguments = ("-r", str(listed), "--no-deps", "--disable-pip", "-f", "json", "--progress-spinner", "off")
    try:
        found = json.loads(_tool("pip_audit", *arguments, "--timeout", "10"))["dependencies"]
        for one in found:
            for known in one.get("vulns", ()):
                message = f"{one['name']} {one['version']} has {known['id']}"
                report.findings.append(Finding("vulnerabilities", "review", "known-vulnerability", message))
            if "skip_reason" in one:
                report.findings.append(Finding("vulnerabilities", "note", "not-known", str(one["skip_reason"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, subprocess.SubprocessError):
        report.not_run["vulnerabilities"] = "no index of vulnerabilities answered"
    else:
        if all("skip_reason" in one for one in found):
            report.not_run["vulnerabilities"] = "the index knows neither the wheel nor what it needs"
        else:
            report.checks.append("vulnerabilities")


def _tool(module: str, *arguments: str) -> str:
    command = [sys.executable, "-I", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False).stdout


def _certification(folder: Path, place: Path, report: Report) -> None:
    """Load the plugin in a process of its own, as the host would."""
    result = place / "result.json"
    empty = place / "home"
    empty.mkdir()
    command = [sys.executable, "-I", "-B", "-m", "aicflow.cli.vetting.trial", str(folder), str(result)]
    process = subprocess.Popen(
        command,
        cwd=empty,
        env={"HOME": str(empty), "TMPDIR": str(empty), "PATH": os.defpath, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(_SECONDS)
        ended = f"its process ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        ended = f"its process had not ended after {_SECONDS} seconds"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it may have left behind, too
        process.wait()

    def found(severity: Severity, code: str, message: str) -> None:
        report.findings.append(Finding("certification", severity, code, message.replace(f"{folder}/", "")[:1000]))

    report.checks.append("certification")
    try:
        if result.stat().st_size > _MAX_RESULT:
            raise ValueError("too large")
        answer = json.loads(result.read_text("utf-8"))
        problems = [(str(code), str(message)) for code, message in answer["problems"]]
        effects = [str(one) for one in answer["effects"]]
        report.node_types = [str(one) for one in answer["node_types"]]
        report.trigger_types = [str(one) for one in answer["trigger_types"]]
        isolated = answer["isolated"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found("reject", "no-result", f"{ended} without a result")
        return
    for text in effects:
        found("reject", "import-effect", f"tried this when it was imported: {text}")
    for code, message in problems:
        found("note" if code == "advice" else "review", code, message)
    if not isolated:
        found("note", "not-isolated", "the kernel did not let the process give up the network")
