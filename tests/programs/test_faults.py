"""Fault injection: real processes that are killed at any time, stuck, or flooded.

``ALASKA_FAULT_REQUESTS`` and ``ALASKA_FAULT_KILLS`` set the load; with 5000 and 10 the tests take a few minutes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from alaska.client import Client, Confirmation, Delivery
from alaska.interfaces import Reactor
from tests.programs.system_case import Program, SystemTestCase, until

reactor = cast("Reactor", global_reactor)
REQUESTS = int(os.environ.get("ALASKA_FAULT_REQUESTS", "400"))
KILLS = int(os.environ.get("ALASKA_FAULT_KILLS", "2"))
PATIENCE_SECONDS = 60 + REQUESTS / 10
FLOODERS = 10
FLOOD = Path(__file__).with_name("flood.py")


def pause(seconds: float) -> Deferred[None]:
    """Fire after this many seconds."""
    return deferLater(reactor, seconds, lambda: None)


class FaultsTestCase(SystemTestCase):
    """A broker, workers that log the requests that they run, and a sender."""

    timeout = 60 + 3 * round(PATIENCE_SECONDS)

    def setUp(self) -> None:
        super().setUp()
        self.log = self.folder / "executed"
        # Without sandbox and time limit, because the scripts write to a file and may run for long.
        variables = {"ALASKA_WORKER_SCRIPTS_SANDBOX": "0", "ALASKA_WORKER_SCRIPTS_TIMEOUT": "0"}
        self.patch(os, "environ", {**os.environ, **variables})
        # It takes 2 ms, so that kills hit running scripts.
        self.script(
            "note",
            f"local t = os.clock() while os.clock() - t < 0.002 do end "
            f"local f = io.open('{self.log}', 'a') f:write(alaskaContext, '\\n') f:close()",
        )

    def executed(self) -> Counter[int]:
        """Return how often each request was run."""
        lines = self.log.read_text(encoding="ascii").split() if self.log.exists() else []
        return Counter(map(int, lines))

    async def all_executed(self) -> None:
        """Wait until each request has been run."""
        await until(lambda: len(self.executed()) == REQUESTS, seconds=PATIENCE_SECONDS)

    async def start_durable_broker(self) -> Program:
        """Start a broker with a store in a file."""
        bind, store = f'    bind\n        endpoint = "{self.endpoint}"\n', '    store\n        path = "broker.store"\n'
        broker = self.twistd(
            "-n", "malamute", "--config", str(self.config("durable.cfg", f"mlm_server\n{bind}{store}"))
        )
        await broker.until("Broker ready")
        return broker

    def print_measured(self, words: str) -> None:
        """Print a measured value that is not asserted."""
        print(f" [{words}]", end="", file=sys.stderr)


class KilledWorkerTests(FaultsTestCase):
    """Two workers that are killed."""

    async def run_requests(self, kills: int) -> Counter[int]:
        """Send the requests to two workers, kill and restart workers this many times, and return the run counts."""
        await self.start_broker()
        config = self.worker_config(embedded=False)
        workers = [await self.start_worker(config) for _ in range(2)]
        sender = await self.client("sender")
        for number in range(REQUESTS):
            sender.send_for("default", "note", b"%d" % number)
        for _ in range(kills):
            before = len(self.executed())
            await until(lambda least=before: len(self.executed()) > min(least + 10, REQUESTS - 1))  # type: ignore[misc]
            await pause(random.uniform(0, 0.2))
            victim = workers.pop(0)
            victim.send_signal(signal.SIGKILL)
            await victim.ended
            workers.append(await self.start_worker(config))
        await self.all_executed()
        return self.executed()

    async def test_at_least_once(self) -> None:
        """If workers are killed, each request is run at least once."""
        executed = await self.run_requests(KILLS)
        self.assertEqual(set(executed), set(range(REQUESTS)))
        self.print_measured(f"{executed.total() - REQUESTS} of {REQUESTS} twice")

    async def test_exactly_once(self) -> None:
        """If no worker is killed, each request is run exactly once."""
        executed = await self.run_requests(0)
        await pause(0.5)
        self.assertEqual(self.executed(), executed)
        self.assertEqual(executed, Counter(range(REQUESTS)))


class KilledBrokerTests(FaultsTestCase):
    """A broker with a store that is killed."""

    async def test_nothing_confirmed_is_lost(self) -> None:
        """If the broker is killed, all requests that it confirmed as stored are run, and all such mail is delivered."""
        requested: set[int] = set()
        mailed: set[int] = set()
        got: set[int] = set()

        def confirmed(confirmation: Confirmation) -> None:
            kind, number = confirmation.tracker.split("-")
            if confirmation.status == 201:
                (requested if kind == "request" else mailed).add(int(number))

        broker = await self.start_durable_broker()
        await self.start_worker(self.worker_config(embedded=False))
        sender = Client(self.endpoint, "sender", credit=0, confirmed=confirmed)
        self.clients.append(sender)
        await sender.connect(timeout=10)
        steps = KILLS + 1
        for step in range(steps):
            for number in range(REQUESTS * step // steps, REQUESTS * (step + 1) // steps):
                sender.send_for("default", "note", b"%d" % number, tracker=f"request-{number}")
                sender.send_to("box", "mail", b"%d" % number, tracker=f"mail-{number}")
                if number % 10 == 0:
                    await pause(0)
            if step < KILLS:
                await pause(random.uniform(0, 0.3))
                broker.send_signal(signal.SIGKILL)
                await broker.ended
                broker = await self.start_durable_broker()
        # The client sends unconfirmed messages again after a kill, so all are confirmed in the end. The mailbox is
        # opened only then: mail that is delivered to a plain client at once is not confirmed as stored.
        await until(lambda: len(requested) == len(mailed) == REQUESTS, seconds=PATIENCE_SECONDS)
        await self.client("box", lambda delivery: got.add(int(delivery.content[0])))
        await self.all_executed()
        await until(lambda: len(got) == REQUESTS, seconds=PATIENCE_SECONDS)
        self.print_measured(f"{self.executed().total() - REQUESTS} of {REQUESTS} twice")


class StuckWorkerTests(FaultsTestCase):
    """Two workers, one of which runs scripts that do not end."""

    async def test_free_worker_runs_all(self) -> None:
        """While all threads of one worker are busy, another worker runs all requests."""
        released = self.folder / "released"
        self.script("stuck", f"repeat local found = io.open('{released}') until found print('free')")
        await self.start_broker()
        config = self.worker_config(embedded=False, more="    pool\n        size = 2\n")
        stuck = await self.start_worker(config)
        sender = await self.client("sender")
        for _ in range(2):
            sender.send_for("default", "stuck")
        await stuck.until("[SREQ]", 2)
        await self.start_worker(config)
        begun = reactor.seconds()
        for number in range(REQUESTS):
            sender.send_for("default", "note", b"%d" % number)
        await self.all_executed()
        self.print_measured(f"{REQUESTS} requests in {reactor.seconds() - begun:.2f} s")
        self.assertNotIn(": free", stuck.output)
        released.touch()
        await stuck.until(": free", 2)
        self.assertEqual(self.executed(), Counter(range(REQUESTS)))


class FloodTests(FaultsTestCase):
    """Clients that send as fast as possible."""

    async def test_others_are_served(self) -> None:
        """While ten clients flood streams, mailboxes and services, flushes are answered and a stream is delivered."""
        await self.start_broker()
        got: list[Delivery] = []
        reader = await self.client("reader", got.append)
        await reader.consume("news")
        writer = await self.client("writer")
        flood = self.run_program(str(FLOOD), self.endpoint, str(FLOODERS))
        await flood.until("flooding")
        waits: list[float] = []
        for number in range(20):
            begun = reactor.seconds()
            writer.publish("news", str(number))
            await writer.flush().addTimeout(PATIENCE_SECONDS, reactor)
            waits.append(reactor.seconds() - begun)
            await pause(0.05)
        await until(lambda: len(got) == len(waits))
        self.assertIsNone(flood.status)
        self.assertEqual([delivery.subject for delivery in got], [str(number) for number in range(len(waits))])
        self.print_measured(f"PONG within {max(waits) * 1000:.0f} ms")
