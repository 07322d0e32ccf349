"""The deliveries to a worker: its requests, which go to the pool, and what else arrives at its address."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from twisted.logger import Logger

from alaska.client import Delivery
from alaska.lua.request import Request
from alaska.mlm.commands import ServiceDeliver
from alaska.mlm.properties import BROKER_PROPERTIES, to_number
from alaska.names import printable
from alaska.pool.pool import AnyPool
from alaska.worker.extras import NONE, ExtrasReader
from alaska.worker.intake import Intake
from alaska.worker.outbox import Outbox
from alaska.worker.outcomes import Outcomes
from alaska.worker.watchdog import Watchdog

_log = Logger()


class Arrivals:
    """Takes what the worker's client delivers, which begins after :meth:`begin`."""

    def __init__(self, pool: AnyPool, watchdog: Watchdog, outcomes: Outcomes, outbox: Outbox) -> None:
        self._pool = pool
        self._watchdog = watchdog
        self._outcomes = outcomes
        self._outbox = outbox
        self._extras = ExtrasReader()
        self._intake: Intake
        self._mail: Callable[[Delivery], bool]
        self._address = b""

    def begin(self, intake: Intake, mail: Callable[[Delivery], bool], address: bytes) -> None:
        """Set the flow control, what returns whether it has processed mail to the worker, and the worker's address."""
        self._intake, self._mail, self._address = intake, mail, address

    def take(self, delivery: Delivery) -> None:
        """Process a delivery: a request is run, or returned to the broker."""
        command = delivery.command
        intake = self._intake
        if type(command) is not ServiceDeliver:
            # Mail to the address of the worker would run scripts that its service does not offer.
            if not self._mail(delivery):
                drop(delivery)
            intake.drop(delivery)
            return
        address, sender, subject = command.address, command.sender, command.subject
        tracker, session = delivery.tracker_octets, delivery.session
        properties = command.properties
        attempt = to_number(properties.get("attempt")) or 1
        since = to_number(properties.get("since")) or 0
        extras = self._extras.read(properties) if len(properties) > BROKER_PROPERTIES else NONE
        request = Request(
            sender, address, subject, tracker, command.content, attempt, session, self._address, monotonic(),
            delivery.lease, 1, since, *extras,
        )  # fmt: skip
        if not (intake.gives_credit or intake.knows(request)):
            # The broker still uses up the credit, and redelivers the request to another worker.
            intake.decline(request)
            return
        if not intake.received(request):
            return
        if self._outcomes.tracing is not None:
            request = self._outcomes.tracing.begin(request)
        request_log = self._outbox.request_log
        if request_log is not None:
            request_log.begun(request)
        if not self._watchdog.is_running:
            self._watchdog.start()
        self._pool.submit(request)


def drop(delivery: Delivery) -> None:
    """Drop mail to the address of a connection that takes no mail."""
    names = {"address": printable(delivery.address), "sender": printable(delivery.sender)}
    _log.debug("dropped mail from {sender}: nobody reads {address}", **names)
