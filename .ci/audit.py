"""Ask an index of known vulnerabilities about every locked package that AIC Flow and its plugins install.

Leaves with 1 for a vulnerability. An index that does not answer, or knows none of the packages as many mirrors do, has
audited nothing: that is said, and kept in the file named as the first argument for whoever sums up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOL = "pip-audit>=2.9,<3"


def judge(answer: str) -> tuple[list[str], str]:
    """The vulnerabilities in pip-audit's JSON, and what was not audited, in a sentence."""
    try:
        found: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [], "NOT AUDITED for known vulnerabilities: no index of them answered."
    known = [
        f"{one['name']} {one['version']}: {told['id']}, mended in {', '.join(told['fix_versions']) or 'none'}"
        for one in found
        for told in one.get("vulns", ())
    ]
    skipped = [str(one["name"]) for one in found if "skip_reason" in one]
    if len(skipped) == len(found):
        return known, "NOT AUDITED for known vulnerabilities: the index that answered knows none of the packages."
    if skipped:
        return known, f"NOT AUDITED for known vulnerabilities: {', '.join(skipped)}, which the index does not know."
    return known, ""


def main() -> int:
    uv = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        export = [uv, "export", "-q", "--frozen", "--no-dev", "--all-packages", "--all-extras", "--no-emit-workspace"]
        subprocess.run([*export, "-o", str(listed)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        ask = ["pip-audit", "-r", str(listed), "--require-hashes", "--disable-pip", "-f", "json"]
        command = [uv, "tool", "run", "-q", "--from", TOOL, *ask, "--progress-spinner", "off", "--timeout", "10"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
        except subprocess.TimeoutExpired:
            answer = ""
    known, missing = judge(answer)
    lines = [*known, *([missing] if missing else [])] or ["No known vulnerability in what is locked."]
    sys.stdout.writelines(line + "\n" for line in lines)
    for place in sys.argv[1:]:
        Path(place).write_text(missing and missing + "\n", encoding="utf-8")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
