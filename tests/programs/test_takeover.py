"""Workers that carry the broker one after the other: real twistd, real kills, one store."""

from __future__ import annotations

import signal
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from alaska.client import Client, Confirmation, Delivery
from alaska.errors import STORED, TOO_LARGE
from tests.programs.test_system import Program, SystemTestCase, reactor

CARRIES = "this worker embeds the broker now"


class CarryingCase(SystemTestCase):
    """Workers that carry a broker."""

    async def told(self, content: bytes) -> int:
        """Send mail that nobody fetches; return what the broker says of it first."""
        told: Deferred[Confirmation] = Deferred()
        sender = Client(self.endpoint, "sender", credit=0, confirmed=told.callback)
        await sender.connect(timeout=10)
        sender.send_to("box", "hello", content, tracker="t")
        confirmation = await told.addTimeout(10, reactor)
        await sender.close()
        return confirmation.status


class TakeOverTests(CarryingCase):
    """Several workers with one configuration."""

    def shared_config(self, more: str = "") -> Path:
        """Write a configuration in which the broker has a store."""
        return self.config(
            "shared.cfg",
            f"""worker
    scripts
        dir = "{self.services}"
    broker
        endpoint = "{self.endpoint}"
        embedded = "1"
        store = "{self.folder / "store.db"}"
{more}""",
        )

    async def kept(self, number: int) -> None:
        """Have mail kept that nobody fetches yet."""
        self.assertEqual(await self.told(b"%d" % number), STORED)

    async def assert_kept(self, count: int) -> None:
        """Expect all of the mail."""
        box = await self.client("box")
        got = [await box.__anext__().addTimeout(10, reactor) for _ in range(count)]
        self.assertEqual([delivery.content for delivery in got], [(b"%d" % number,) for number in range(count)])

    async def assert_served(self, *workers: Program) -> None:
        """Expect that requests get to these workers."""
        before = [worker.said.count("done by me") for worker in workers]
        for _ in range(4):
            alas = await self.alas("-s", "who")
            self.assertEqual(alas.status, 0, alas.said)
        for worker, count in zip(workers, before, strict=True):
            await worker.until("done by me", count + 4 // len(workers))

    async def one_carries(self, *workers: Program) -> Program:
        """Return the one of these workers that says that it carries the broker now."""
        waiting: list[Deferred[None]] = [worker.until(CARRIES) for worker in workers]
        _, at = await DeferredList(waiting, fireOnOneCallback=True, consumeErrors=True)
        # Time for another one to say the same, which it must not.
        await deferLater(reactor, 1)
        self.assertEqual([CARRIES in worker.said for worker in workers].count(True), 1)
        for each in waiting:
            each.cancel()
        return workers[at]

    async def test_killed(self) -> None:
        """When the first worker is killed, the second carries the broker, with all that the store has."""
        await self.assert_follows(signal.SIGKILL)

    async def test_stopped(self) -> None:
        """The same when it is stopped."""
        await self.assert_follows(signal.SIGTERM)

    async def assert_follows(self, number: int) -> None:
        self.script("who", "print('done by me')")
        config = self.shared_config()
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        await self.kept(0)
        first.send_signal(number)
        await first.ended
        await second.until(CARRIES, seconds=10)
        await self.assert_served(second)
        await self.kept(1)
        again = await self.start_worker(config)
        self.assertIn("joining the broker", again.said)
        await self.assert_served(second, again)
        second.send_signal(number)
        await again.until(CARRIES, seconds=10)
        await self.assert_kept(2)
        self.assertNotIn("Traceback", first.said + second.said + again.said)

    async def test_one_of_many(self) -> None:
        """Of several that are left, exactly one carries the broker, and all are served by it."""
        self.script("who", "print('done by me')")
        config = self.shared_config()
        first = await self.start_worker(config)
        others = [await self.start_worker(config) for _ in range(3)]
        first.send_signal(signal.SIGKILL)
        carries = await self.one_carries(*others)
        joined = [worker for worker in others if worker is not carries]
        await self.assert_served(*others)
        carries.send_signal(signal.SIGTERM)
        await self.one_carries(*joined)
        await self.assert_served(*joined)

    async def test_started_at_once(self) -> None:
        """Of several that start at once, exactly one carries the broker from the beginning."""
        config = self.shared_config()
        workers = [self.twistd("-n", "alaska", "--config", str(config)) for _ in range(3)]
        for worker in workers:
            await worker.until("Alaska worker ready")
        self.assertEqual(sum("Broker ready" in worker.said for worker in workers), 1)

    async def test_wildcard(self) -> None:
        """With a wildcard as endpoint, the second worker joins and takes over as well."""
        here, self.endpoint = self.endpoint, self.endpoint.replace("127.0.0.1", "*")
        self.script("who", "print('done by me')")
        config = self.shared_config()
        self.endpoint = here
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        self.assertIn("joining the broker", second.said)
        await self.assert_served(first, second)
        first.send_signal(signal.SIGKILL)
        await second.until(CARRIES, seconds=10)
        await self.assert_served(second)


class BrokerFileTests(CarryingCase):
    """The broker's settings in a file of their own."""

    async def test_limits(self) -> None:
        """What malamute.cfg says of limits, retention and store holds for a worker's broker."""
        self.config(
            "broker.cfg",
            f"""mlm_server
    echo = "from the broker's file"
    bind
        endpoint = "tcp://127.0.0.1:1"
    mailbox
        size-limit = "4"
    stream
        retain
            count = "1"
    store
        path = "{self.folder / "store.db"}"
""",
        )
        worker = await self.start_worker(self.worker_config_with(f'config = "{self.folder / "broker.cfg"}"'))
        self.assertIn(f"Broker ready ({self.endpoint})", worker.said)
        self.assertIn("from the broker's file", worker.said)
        self.assertEqual(await self.told(b"1234"), STORED)
        self.assertEqual(await self.told(b"5"), TOO_LARGE)
        sender = await self.client("sender")
        for number in range(2):
            sender.publish("news", "n", b"%d" % number)
        await sender.flush()
        got: list[Delivery] = []
        reader = await self.client("reader", got.append)
        await reader.replay("news", ".*", 0)
        await self.wait_for(lambda: any(delivery.content == (b"1",) for delivery in got))
        self.assertEqual(got[-1].content, (b"1",))
        self.assertTrue((self.folder / "store.db").exists())

    async def test_missing(self) -> None:
        """A file that is not there ends the program with a sentence."""
        config = self.worker_config_with('config = "nowhere.cfg"')
        program = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await program.ended, 78)
        self.assertIn("nowhere.cfg", program.said)
        self.assertNotIn("Traceback", program.said)

    def worker_config_with(self, line: str) -> Path:
        """Write the configuration of a worker that carries a broker, with one more line about that."""
        path = self.worker_config()
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('embedded = "1"', f'embedded = "1"\n        {line}'), encoding="utf-8")
        return path

    async def wait_for(self, is_so: object) -> None:
        """Wait until something is so."""
        assert callable(is_so)
        while not is_so():
            await deferLater(reactor, 0.01)
