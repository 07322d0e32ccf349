"""What the tests of the worker share: a worker with a network in memory, fake scripts and a controlled pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.client.delivery import Confirmation
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ScriptError
from alaska.interfaces import Reactor
from alaska.lua.questions import PARTIAL, pack
from alaska.lua.request import Call, Outcome, Request, Send, SendKind
from alaska.lua.values import OUTCOMES
from alaska.testing import HandPool
from alaska.worker.service import WorkerService
from tests.network_case import NetworkCase


class FakeScripts:
    """A runner with prepared outcomes by subject; it records its requests."""

    def __init__(self) -> None:
        self.outcomes: dict[bytes, Outcome] = {}
        self.requests: list[Request] = []
        self.is_closed = False
        self.call: Call | None = None
        self.partial: Outcome | None = None
        """The partial result of each script, which it passes on before ``after_partial`` is called."""
        self.after_partial: Callable[[], object] = lambda: None

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.pool.Runner`."""
        self.requests.append(request)
        if self.partial is not None and self.call is not None:
            self.call(request, pack((b"", PARTIAL, OUTCOMES.encode(self.partial))))
            self.after_partial()
        return self.outcomes[request.subject]

    def close(self) -> None:
        """See :class:`alaska.pool.pool.Runner`."""
        self.is_closed = True


def mail(subject: bytes = b"result", *content: bytes, to: bytes = b"box", sender: bytes = b"LU") -> Send:
    """Return mail of a script."""
    return Send(SendKind.MAILBOX, to, subject, content, sender)


def reply(*content: bytes) -> Send:
    """Return a reply of a script."""
    return Send(SendKind.REPLY, b"", b"", content, b"LU")


class WorkerCase(NetworkCase):
    """A worker that is not started yet."""

    def setUp(self) -> None:
        super().setUp()
        self.scripts = FakeScripts()
        self.refusals: list[AlaskaError] = []
        self.worker = self.make_worker()

    def make_worker(self, **settings: Any) -> WorkerService:
        """Make a worker with these settings, and defaults for the others."""
        return WorkerService(
            self.reactor,
            WorkerSettings(**settings),
            self.process,
            self.make_runner,
            self.refusals.append,
            self.make_pool,
        )

    def make_runner(self, call: Call) -> FakeScripts:
        """Return the fake scripts, which can make calls."""
        self.scripts.call = call
        return self.scripts

    def make_pool(self, reactor: Reactor, *arguments: Any) -> HandPool:
        """Make and store the pool that the test controls."""
        self.pool = HandPool(reactor, *arguments)
        return self.pool

    def start(self) -> None:
        """Start the worker."""
        self.worker.startService()
        self.network.run()

    def script(self, subject: bytes, *sends: Send, output: bytes = b"", error: str | ScriptError | None = None) -> None:
        """Prepare the outcome of a subject."""
        self.scripts.outcomes[subject] = Outcome(sends, output, ScriptError(error) if isinstance(error, str) else error)


class ServedCase(WorkerCase):
    """A worker, a broker and a requester."""

    def setUp(self) -> None:
        super().setUp()
        self.broker: BrokerService = self.start_broker()
        self.requester: Client = self.client("requester")

    def ask(self, subject: str, *content: bytes, service: str = "default") -> None:
        """Send a request and deliver it to the worker."""
        self.requester.send_for(service, subject, *content)
        self.network.run()

    def run_scripts(self) -> None:
        """Run all submitted requests, and deliver all messages."""
        self.pool.run()
        self.network.run()


class ConfirmCase(WorkerCase):
    """A broker, a worker, and a requester that gets confirmations."""

    def setUp(self) -> None:
        super().setUp()
        self.may_connect = True
        self.start_broker(accept=lambda _username, _password: self.may_connect)
        self.requester = self.connected("requester", credit=0)
        self.notes: list[str] = []
        self.connected("box", deliver=lambda delivery: self.notes.append(f"mail {delivery.subject}"))
        self.pass_time(0.2)

    def make_worker(self, **settings: Any) -> Any:
        """Make a worker with valid credentials."""
        return super().make_worker(plain_username="user", plain_password="secret", **settings)

    def connected(self, address: str, **options: Any) -> Client:
        """Return a client with valid credentials."""
        return self.client(address, username="user", password="secret", **options)

    def ask(self, subject: str) -> Deferred[Confirmation]:
        """Send a request and deliver it to the worker."""
        asked = self.requester.track_for("default", subject, b"context")
        self.network.run()
        return asked

    def run_scripts(self) -> None:
        """Run all submitted requests, deliver all messages, and let time pass."""
        self.pool.run()
        self.pass_time(0.5)

    def confirmed(self, asked: Deferred[Confirmation]) -> tuple[int, str]:
        """Return the status and reason of a confirmation."""
        confirmation = self.successResultOf(asked)
        return confirmation.status, confirmation.reason

    def offer(self) -> list[Delivery]:
        """Let another worker offer the service; return the list of its deliveries."""
        got: list[Delivery] = []
        self.connected("other", deliver=got.append, credit=100).offer("default")
        self.network.run()
        return got
