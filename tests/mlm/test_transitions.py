"""The transitions of a client."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.mlm.states import Event, State
from alaska.mlm.transitions import TABLE


class TableTests(SynchronousTestCase):
    """The table."""

    def test_every_state_has_its_row(self) -> None:
        """The table has all states, and the open state has all events but LINK_UP and LINK_REFUSED."""
        self.assertEqual(set(TABLE), set(State))
        self.assertEqual(set(Event) - set(TABLE[State.OPEN]), {Event.LINK_UP, Event.LINK_REFUSED})
