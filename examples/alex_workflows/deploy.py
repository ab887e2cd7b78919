"""Alex keeps workflows in a repository: `deploy.py` brings a server to what it says, `--check` only reports.

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
        if not check:
            for name, wf in wanted.items():
                print(f"{name}: {client.workflows.deploy(wf, id=name).outcome}")
            return 0
        differing = [name for name, wf in wanted.items() if differs(client, name, wf)]
        return 1 if differing else 0


def differs(client: AICFlow, name: str, wf: Workflow) -> bool:
    """Print how the server's workflow differs from the repository's."""
    try:
        changes = diff(client.workflows.get(name).document or {}, wf)
    except NotFound:
        print(f"{name}: new")
        return True
    print(f"{name}: {changes}")
    return bool(changes)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
