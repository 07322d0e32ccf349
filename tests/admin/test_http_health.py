"""The answers about health."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.health import Check
from alaska.admin.http.health import MOST_LOOP_LAG, HealthPages


class HealthTests(SynchronousTestCase):
    """Conditions and warnings."""

    def test_warnings(self) -> None:
        """A warning is shown with the health, and makes the process neither ill nor unready."""
        pages = HealthPages([lambda: [Check("broker", True)]], warnings=[lambda: ["anyone can read everything"]])
        asked = cast("Any", None)
        answer = pages.health(asked)
        health = json.loads(answer.body)
        self.assertEqual((answer.status, health["ok"]), (200, True))
        self.assertEqual(health["warnings"], ["anyone can read everything"])
        self.assertEqual((pages.ready(asked).status, pages.ready(asked).body), (200, b"ok\n"))

    def test_late_loop(self) -> None:
        """A process whose event loop is late is not alive, whether it is ready or not."""
        pages = HealthPages([], lag=lambda: MOST_LOOP_LAG + 1)
        asked = cast("Any", None)
        self.assertEqual([page(asked).status for page in (pages.live, pages.ready, pages.health)], [503, 200, 503])
