"""What tests of the worker share: a worker in memory, with scripts and threads that the test plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alaska.broker.service import BrokerService
from alaska.client import Client
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ScriptError
from alaska.interfaces import Reactor
from alaska.lua.questions import TOLD, pack
from alaska.lua.request import Call, Outcome, Request, Send, SendKind
from alaska.lua.values import OUTCOMES
from alaska.testing import HandPool
from alaska.worker.service import WorkerService
from tests.network_case import NetworkCase


class Scripts:
    """A runner whose outcomes the test writes down, by subject; it notes what it was asked."""

    def __init__(self) -> None:
        self.outcomes: dict[bytes, Outcome] = {}
        self.requests: list[Request] = []
        self.is_closed = False
        self.call: Call | None = None
        self.told: Outcome | None = None
        """What a script leaves while it runs, before ``after_telling`` is called."""
        self.after_telling: Callable[[], object] = lambda: None

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.pool.Runner`."""
        self.requests.append(request)
        if self.told is not None and self.call is not None:
            self.call(request, pack((b"", TOLD, OUTCOMES.encode(self.told))))
            self.after_telling()
        return self.outcomes[request.subject]

    def close(self) -> None:
        """See :class:`alaska.pool.pool.Runner`."""
        self.is_closed = True


def mail(subject: bytes = b"result", *content: bytes, to: bytes = b"box", sender: bytes = b"LU") -> Send:
    """Return mail as scripts send it."""
    return Send(SendKind.MAILBOX, to, subject, content, sender)


class WorkerCase(NetworkCase):
    """A worker, not started yet."""

    def setUp(self) -> None:
        super().setUp()
        self.scripts = Scripts()
        self.refusals: list[AlaskaError] = []
        self.worker = self.make_worker()

    def make_worker(self, **settings: Any) -> WorkerService:
        """Make a worker with these settings, the others being the defaults."""
        return WorkerService(
            self.reactor,
            WorkerSettings(**settings),
            self.process,
            self.make_runner,
            self.refusals.append,
            self.make_pool,
        )

    def make_runner(self, call: Call) -> Scripts:
        """Return the scripts that the test writes, with what they can ask."""
        self.scripts.call = call
        return self.scripts

    def make_pool(self, reactor: Reactor, *arguments: Any) -> HandPool:
        """Make the pool that the test plays, and keep it."""
        self.pool = HandPool(reactor, *arguments)
        return self.pool

    def start(self) -> None:
        """Start the worker."""
        self.worker.startService()
        self.network.run()

    def script(self, subject: bytes, *sends: Send, output: bytes = b"", error: str | ScriptError | None = None) -> None:
        """Say what the script of a subject does."""
        self.scripts.outcomes[subject] = Outcome(sends, output, ScriptError(error) if isinstance(error, str) else error)


class ServedCase(WorkerCase):
    """A broker, and somebody who asks."""

    def setUp(self) -> None:
        super().setUp()
        self.broker: BrokerService = self.start_broker()
        self.requester: Client = self.client("requester")

    def ask(self, subject: str, *content: bytes, service: str = "default") -> None:
        """Send a request and let it come to the worker."""
        self.requester.send_for(service, subject, *content)
        self.network.run()

    def run_scripts(self) -> None:
        """Let the threads do what they are to do, and what follows happen."""
        self.pool.run()
        self.network.run()
