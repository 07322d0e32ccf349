"""What workers tell about how far their requests are, which the senders are told (docs/protocol.md, section 7)."""

from __future__ import annotations

from alaska.mlm.progress import Progress

MOST_AT_ONCE = 5
"""The number of reports about one delivery that are passed on at once; after that, :data:`PER_SECOND`.

Workers of Alaska send fewer. Of more, the last one is shown to administrators, but not passed on.
"""
PER_SECOND = 5.0


class Report:
    """What a worker has told last about a delivery, and how many more reports may be passed on."""

    __slots__ = ("at", "left", "progress")

    def __init__(self, progress: Progress, now: float) -> None:
        self.progress = progress
        self.at = now
        self.left = float(MOST_AT_ONCE)

    def may_pass_on(self, progress: Progress, now: float) -> bool:
        """Take over what was told at a time; return whether it may be passed on."""
        self.left = min(float(MOST_AT_ONCE), self.left + max(0.0, now - self.at) * PER_SECOND)
        self.progress, self.at = progress, now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
