"""Alex keeps workflows in a repository: `deploy.py` brings a server to what the repository says, `--check` only tells.

Exit codes: 0 all is as it should be, 1 something differs (with --check), 2 something is not valid.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import workflows
from aicflow_sdk import AICFlow, NotFound, Workflow, diff


def all_workflows() -> dict[str, Workflow]:
    """Every workflow of the package, by the id it is deployed under."""
    names = [module.name for module in pkgutil.iter_modules(workflows.__path__)]
    return {name.replace("_", "-"): importlib.import_module(f"workflows.{name}").wf for name in names}


def main(check: bool) -> int:
    wanted = all_workflows()
    with AICFlow() as client:
        reports = {name: client.workflows.validate(wf) for name, wf in wanted.items()}
        for name, report in reports.items():
            for issue in report.issues:
                print(f"{name}: {issue}")
        if not all(report.valid for report in reports.values()):
            return 2
        differing = 0
        for name, wf in wanted.items():
            try:
                current = client.workflows.get(name)
            except NotFound:
                differing += 1
                print(f"{name}: new")
                if not check:
                    client.workflows.create(wf, id=name)
                continue
            changes = diff(current.document or {}, wf)
            differing += bool(changes)
            print(f"{name}: {changes}")
            if changes and not check:
                # the ETag that was read goes along: a change made by somebody else in between is not overwritten
                client.workflows.update(current, wf)
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
