"""The test suite, for trial.

Property tests and model tests use the same generated examples in each run, so that the result depends only on the
code. ``make search`` generates new examples in each run, and ``ALASKA_SEARCH`` times as many.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).parent.parent
"""The folder of the project."""
SEARCH = int(os.environ.get("ALASKA_SEARCH", "0"))


def examples(count: int) -> int:
    """Return the number of examples to generate: ``count``, or a multiple of it in a search."""
    return count * max(SEARCH, 1)


# No deadline: the time of an example depends on the machine. The health check would object to test classes that inherit
# tests for another implementation.
settings.register_profile(
    "alaska",
    deadline=None,
    derandomize=not SEARCH,
    # Without a database of failures of earlier runs, so that a run depends only on the code.
    database=None,
    max_examples=examples(100),
    print_blob=bool(SEARCH),
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("alaska")
