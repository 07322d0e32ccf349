"""Base class for tests of the broker with a store in a file, which can be killed and restarted."""

from __future__ import annotations

from alaska.broker.broker import Broker
from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from tests.broker.broker_case import BrokerTestCase
from tests.broker.fake_router import FakeRouter
from tests.store.kinds import FileKind, StoreKind


class InFile(BrokerTestCase):
    """Uses a store in a file, which is written before anybody looks at what the broker has sent."""

    def make_store(self) -> IStore:
        """See :class:`BrokerTestCase`."""
        self.kind: StoreKind = FileKind()
        return self.kind.make()

    def take(self, name: str) -> list[mlm.Command]:
        """See :class:`BrokerTestCase`."""
        self.kind.settle()
        self.router.end_turn(self.broker)
        return super().take(name)

    def restart(self, is_clean: bool = False) -> None:
        """Replace the broker by one that has what is in the file."""
        self.store = self.kind.reopen(self.store, is_clean)
        self.router = FakeRouter(self.transmit)
        self.broker = Broker(self.router, self.limits, self.store)
        self.inboxes.clear()

    def tearDown(self) -> None:
        """Close the store."""
        self.store.close()
        self.kind.clean_up()
