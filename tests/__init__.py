"""The test suite, for trial.

Properties and models are tried with the same examples each time, so that two runs of the suite say the same. ``make
search`` tries others each time: ``ALASKA_SEARCH`` says how many times as many.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).parent.parent
"""The folder of the project."""
SEARCH = int(os.environ.get("ALASKA_SEARCH", "0"))


def examples(count: int) -> int:
    """Return how many examples to try where the suite is content with so many."""
    return count * max(SEARCH, 1)


# How long an example takes says something about the machine, not about the code. And classes of tests are derived from
# others, to hold another implementation to the same.
settings.register_profile(
    "alaska",
    deadline=None,
    derandomize=not SEARCH,
    # What another run has found is not tried again, so that a run depends on the code alone.
    database=None,
    max_examples=examples(100),
    print_blob=bool(SEARCH),
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("alaska")
