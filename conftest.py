"""No test depends on another: log levels are set back, and random tests draw the same examples every time.

AICFLOW_FUZZ_EXAMPLES draws fresh ones, and as many as it says.
"""

import logging
import os
from collections.abc import Iterator

import pytest

try:
    from hypothesis import settings
except ImportError:  # some environments test one distribution alone
    pass
else:
    settings.register_profile("repeatable", derandomize=True)
    if "AICFLOW_FUZZ_EXAMPLES" not in os.environ:
        settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Set back the levels that a command has set, as in a process of its own."""
    yield
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("aicflow") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
