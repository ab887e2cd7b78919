"""The server's log: no line of it can be forged, no secret stands in it, and libraries are quiet."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aicflow.engine.masking import Mask
from aicflow.host.logs import LogFormatter

FORGED = "x\r\n2026-01-01 WARNING aicflow.host: all is well\x1b[2K\u2028\u0085\u202e\x00 end"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of a library whose records reach the server's handler as all do: through the root."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    formatter = LogFormatter("%(levelname)s %(name)s: %(message)s")
    formatter.mask = Mask(["s3cr3t-value", "-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0B\n-----END"])
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    try:
        yield logging.getLogger("some.library"), out
    finally:
        logging.getLogger().removeHandler(handler)


def test_a_message_is_one_line_whatever_it_holds(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    logger.warning("workflow %s cannot run", FORGED)
    text = out.getvalue()
    assert text.splitlines() == [text[:-1]]
    assert text.startswith("WARNING some.library: workflow x\\r\\n2026-01-01 WARNING")
    assert text.isascii()
    assert text[:-1].isprintable()


def test_a_traceback_keeps_its_lines_but_none_looks_like_a_message(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    try:
        raise ValueError(FORGED + " s3cr3t-value\nMIIEvQIBADANBgkqhkiG9w0B")
    except ValueError:
        logger.exception("it failed", stack_info=True)
    first, *rest = out.getvalue().splitlines()
    assert first == "ERROR some.library: it failed"
    assert len(rest) > 5
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)
    assert "s3cr3t" not in out.getvalue()
    assert "MIIE" not in out.getvalue()
    assert "***" in out.getvalue()


def test_secrets_of_libraries_are_masked_in_every_form(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    logger.warning("GET https://a.example/?key=s3cr3t%%2Dvalue&k=s3cr3t-value %s", {"auth": b"s3cr3t-value".hex()})
    assert "s3cr3t-value" not in out.getvalue()
    assert b"s3cr3t-value".hex() not in out.getvalue()


def test_libraries_are_quiet_and_plugins_are_not() -> None:
    code = """
import logging
from aicflow.host.logs import set_up_logging
set_up_logging("info", "%(name)s %(message)s")
for name in ("httpx2", "httpcore2", "openai", "mcp", "aicflow.engine", "aicflow_python.sandbox.pool"):
    logging.getLogger(name).info("tells")
logging.getLogger("httpx2").warning("warns")
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert process.stderr.splitlines() == ["aicflow.engine tells", "aicflow_python.sandbox.pool tells", "httpx2 warns"]


def test_a_stack_in_a_message_keeps_its_lines(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    logger.warning("blocked:\n%s", f"line 1\n{FORGED}", extra={"stack": True})
    first, *rest = out.getvalue().splitlines()
    assert first == "WARNING some.library: blocked:"
    assert rest[0] == "  | line 1"
    assert all(line.startswith("  | ") for line in rest)
