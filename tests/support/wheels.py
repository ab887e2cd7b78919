"""Wheels made by hand, and installed as pip does it: for tests of what is signed and what is refused."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

PLUGIN = """\
from pathlib import Path

from aicflow import hookimpl, node

(Path(__file__).parents[1] / "imported").write_text("yes")


@node("hello.say", pure=True)
def say(whom: str) -> str:
    \"\"\"Say hello.\"\"\"
    return "hello, " + whom


@hookimpl
def aicflow_nodes():
    return [say]
"""


def record_line(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def make_wheel(
    folder: Path, files: Mapping[str, str], *, name: str = "hello", metadata: str = "License-Expression: MIT\n"
) -> Path:
    """A wheel with these files and an entry point `hello` for the package `hello`."""
    info = f"{name}-1.0.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nSummary: A test.\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[aicflow]\n{name} = {name}\n",
    }
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        record = ""
        for path, text in contents.items():
            archive.writestr(path, text)
            record += record_line(path, text.encode())
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def install(wheel: Path, site: Path) -> Path:
    """Unpack it and write what pip writes; returns its `dist-info`."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    info = next(site.glob(f"{wheel.name.partition('-')[0]}-*.dist-info"))
    (info / "INSTALLER").write_text("pip\n")
    (info / "REQUESTED").write_text("")
    with (info / "RECORD").open("a") as record:
        record.write(record_line(f"{info.name}/INSTALLER", b"pip\n"))
        record.write(record_line(f"{info.name}/REQUESTED", b""))
        record.write("../../bin/hello,sha256=AAAA,1\nhello/__pycache__/__init__.cpython-312.pyc,,\n")
    return info
