"""`aicflow validate`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aicflow.cli.say import File, Output


def validate_command(
    *files: File,
    output: Output = "text",
) -> int:
    """Check workflow files against what is installed and tell everything that is wrong, with its place.

    Calls of other workflows are checked where these are among the files, under the ids that `aicflow deploy` gives
    them; the others are left to the server. Leaves with 0 when all are valid (warnings are allowed), 1 when one has
    errors, 2 when one cannot be read.
    """
    from aicflow.cli.files import Unreadable, no_options, read_file
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.cli.say import print_json
    from aicflow.kernel.errors import AICFlowError
    from aicflow.language.validation import Workflows, validate

    if not files:
        raise AICFlowError("No file is given.", hint="Say which: aicflow validate workflow.yaml")
    no_options(*files)
    registry = quiet_plugins().registry
    reports: list[dict[str, Any]] = []
    sources: dict[str, Any] = {}
    for name in files:
        with suppress(Unreadable):
            sources[name] = read_file(name)
    known = _by_id([document.value for document in sources.values()]) if len(sources) > 1 else {}
    for name in files:
        try:
            document = sources[name] if name in sources else read_file(name)
        except Unreadable as unreadable:
            error = unreadable.error
            issue: dict[str, Any] = {
                "code": error.code,
                "severity": "error",
                "pointer": error.pointer,
                "message": error.message,
            }
            issue |= {"line": error.line, "column": error.column}
            reports.append({"file": name, "valid": False, "readable": False, "issues": [issue]})
            continue
        own = next((id for id, one in known.items() if one is document.value), None)
        found = validate(document.value, registry, workflows=Workflows(known, complete=False, own=own))
        positions = document.find_positions([issue.pointer for issue in found])
        issues = [_placed(issue.to_dict(), positions.of(issue.pointer)) for issue in found]
        valid = not any(issue["severity"] == "error" for issue in issues)
        reports.append({"file": name, "valid": valid, "readable": True, "issues": issues})
    if output == "json":
        print_json({"valid": all(report["valid"] for report in reports), "files": reports})
    else:
        _print_text(reports)
    if not all(report["readable"] for report in reports):
        return 2
    return 0 if all(report["valid"] for report in reports) else 1


def _by_id(documents: list[Any]) -> dict[str, Any]:
    """The documents by the ids that they are deployed under."""
    from aicflow_sdk.resources.workflows import id_for

    return {id_for(one.get("name")): one for one in documents if isinstance(one, dict)}


def _placed(issue: dict[str, Any], place: tuple[int, int] | None) -> dict[str, Any]:
    return issue if place is None else {**issue, "line": place[0], "column": place[1]}


def _print_text(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        counts = {"error": 0, "warning": 0}
        for issue in report["issues"]:
            counts[issue["severity"]] += 1
            place = f":{issue['line']}:{issue['column']}" if issue.get("line") is not None else ""
            pointer = f" ({issue['pointer']})" if issue["pointer"] else ""
            print(f"{report['file']}{place}: {issue['severity']} {issue['code']}: {issue['message']}{pointer}")
            if issue.get("hint"):
                print(f"    {issue['hint']}")
        found = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count)
        print(f"{report['file']}: {'valid' if report['valid'] else 'not valid'}{': ' + found if found else ''}")
