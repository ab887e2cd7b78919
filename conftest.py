"""Random tests draw the same examples every time, so that a failure is somebody's change and not chance.

AICFLOW_FUZZ_EXAMPLES draws fresh ones, and as many as it says.
"""

import os

try:
    from hypothesis import settings
except ImportError:  # some environments test one distribution alone
    pass
else:
    settings.register_profile("repeatable", derandomize=True)
    if "AICFLOW_FUZZ_EXAMPLES" not in os.environ:
        settings.load_profile("repeatable")
