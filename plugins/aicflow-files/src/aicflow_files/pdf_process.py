"""The process that reads a PDF: what a hostile file does, it does in here, within limits. Options come in as a line of
JSON; lines of JSON go out: `{"pages": 12}`, then `{"page": 1, "text": …}` for each page, or `{"error", "code"}`."""

from __future__ import annotations

import json
import sys
from typing import IO, Any


def main() -> None:
    """Read the pages that the options name: `path`, `password`, `pages` (numbers from 1, null for all), `max_pages`,
    `max_characters`, `memory_bytes`, `cpu_seconds`."""
    options: dict[str, Any] = json.loads(sys.stdin.readline())
    _limit(options["memory_bytes"], options["cpu_seconds"])
    try:
        with open(options["path"], "rb") as file:
            _read(file, options)
    except MemoryError:
        _tell(error="it needs too much memory", code="too-large")
    except RecursionError:
        _tell(error="it is nested too deeply", code="bad-pdf")
    except Exception as error:  # pypdf raises all kinds for files that are broken
        _tell(error=" ".join(str(error).split())[:200] or type(error).__name__, code="bad-pdf")


def _tell(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _read(file: IO[bytes], options: dict[str, Any]) -> None:
    import logging

    from pypdf import PasswordType, PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(file, strict=False)
    if reader.is_encrypted and reader.decrypt(options["password"]) == PasswordType.NOT_DECRYPTED:
        why = "the password is wrong" if options["password"] else "it has a password; set 'password'"
        _tell(error=why, code="pdf-password")
        return
    count = len(reader.pages)
    _tell(pages=count)
    numbers = options["pages"] or range(1, count + 1)
    wanted = [number for number in numbers if number <= count]
    if len(wanted) > options["max_pages"]:
        _tell(error=f"{len(wanted)} pages are wanted, more than max_pages allows", code="too-large")
        return
    left = options["max_characters"]
    for number in wanted:
        text = reader.pages[number - 1].extract_text().encode("utf-8", "replace").decode()
        left -= len(text)
        if left < 0:
            _tell(error=f"its text is longer than max_characters allows, at page {number}", code="too-large")
            return
        _tell(page=number, text=text)


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: its time is limited by who started it
        return
    for name, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


if __name__ == "__main__":
    main()
