"""The limits of each mailbox that nobody reads: those of the first pattern that its name matches, or the general ones.

Whatever the settings say, a mailbox for replies to requests by HTTP is emptied soon: its owner was a process that has
ended, and no other one can have its name.
"""

from __future__ import annotations

from dataclasses import replace

from alaska.broker.limits import UnreadLimits
from alaska.mlm.patterns import compile_pattern
from alaska.names import HTTP

REPLIES = HTTP.encode() + b"::"
REPLY_SECONDS = 60.0
"""How long the reply to a request by HTTP waits for the process that has sent it."""
NEW_PER_TURN = 200
"""The number of names that are matched against all patterns in one turn."""
_FEWEST_KNOWN = 1000


def is_for_replies(name: bytes) -> bool:
    """Return whether a mailbox is for replies to requests by HTTP."""
    return name.startswith(REPLIES)


class UnreadLimitsByName:
    """Finds the limits of mailboxes, and remembers them."""

    def __init__(self, general: UnreadLimits, by_pattern: tuple[tuple[bytes, UnreadLimits], ...]) -> None:
        self.configure(general, by_pattern)

    def configure(self, general: UnreadLimits, by_pattern: tuple[tuple[bytes, UnreadLimits], ...]) -> None:
        """Change the limits. Of several patterns that match a name, the first one counts."""
        self._general = general
        age = general.most_seconds
        self._of_replies = replace(general, most_seconds=REPLY_SECONDS if age is None else min(age, REPLY_SECONDS))
        self._patterns = [(compile_pattern(source), limits) for source, limits in by_pattern]
        self._known: dict[bytes, UnreadLimits] = {}
        self._left = NEW_PER_TURN

    def begin_turn(self, mailboxes: int) -> None:
        """Allow more names to be matched; ``mailboxes`` is the number of those that there are."""
        self._left = NEW_PER_TURN
        if len(self._known) > _FEWEST_KNOWN + 2 * mailboxes:
            self._known.clear()

    def of(self, name: bytes) -> UnreadLimits | None:
        """Return the limits of a mailbox; None: its name is to be matched in a later turn."""
        if is_for_replies(name):
            return self._of_replies
        if not self._patterns:
            return self._general
        known = self._known.get(name)
        if known is None and self._left:
            self._left -= 1
            found = (limits for pattern, limits in self._patterns if pattern.matches(name))
            known = self._known[name] = next(found, self._general)
        return known
