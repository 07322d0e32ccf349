"""Recorded conversations between the C programs, with one side replaced by Alaska's broker or client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.broker.broker import Broker
from alaska.broker.limits import Limits, QueueLimits
from alaska.client import Client, Delivery
from alaska.interfaces import Reactor
from alaska.mlm import commands as mlm
from alaska.mlm.codec import decode
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryNetwork, ScriptedBroker
from tests.broker.fake_router import FakeRouter
from tests.mlm.deviations import CLIENT_DEVIATIONS, DEVIATIONS, ClientDeviation
from tests.recorded import conversations

CONVERSATIONS = conversations()
DELIVERIES = (mlm.StreamDeliver, mlm.MailboxDeliver, mlm.ServiceDeliver, mlm.StreamRecord)


def read(frames: list[str]) -> mlm.Command | None:
    """Return the command of recorded frames, or None if they are malformed."""
    try:
        return decode([bytes.fromhex(frame) for frame in frames])
    except errors.ProtocolError:
        return None


def shown(command: mlm.Command | None) -> str:
    """Return a command as the tests compare it: without trackers and the statuses of OK, which C mixes up."""
    if isinstance(command, mlm.Ok):
        return "OK"
    if isinstance(command, mlm.Error):
        return f"ERROR {command.status_code}"
    if isinstance(command, DELIVERIES):
        where = (command.address, command.sender, command.subject, command.content)
        return f"{mlm.NAMES[type(command)]} {where}"
    return mlm.NAMES[type(command)] if command is not None else "unreadable"


class BrokerTests(SynchronousTestCase):
    """Alaska's broker answers the recorded C clients as the C broker did, or as ``DEVIATIONS`` says."""

    def answers(self, conversation: dict[str, Any]) -> dict[str, list[str]]:
        """Return Alaska's answers to each client of a conversation."""
        sent: dict[str, list[str]] = {name: [] for name in clients_of(conversation)}

        def transmit(peer: bytes, command: mlm.Command) -> bool:
            sent[peer.decode()].append(shown(command))
            return True

        def new_broker() -> Broker:
            return Broker(FakeRouter(transmit), limits_of(conversation), MemoryStore())

        broker: Broker | None = new_broker()
        unread: list[dict[str, Any]] = []
        now = 0.0
        for event in (*steps_of(conversation), {"t": 1000 * (now + 1), "dir": "end"}):
            while broker is not None and now + 0.05 < event["t"] / 1000:
                now += 0.05
                broker.tick(now)
            now = max(now, event["t"] / 1000)
            if event["dir"] == "to_broker":
                unread.append(event)
            elif event["dir"] == "killed":
                broker = None
            elif event["dir"] == "started":
                broker = new_broker()
            while unread and broker is not None:
                sending = unread.pop(0)
                broker.received(sending["client"].encode(), [bytes.fromhex(each) for each in sending["frames"]], now)
        return sent

    def check(self, name: str) -> None:
        """Compare the answers of one conversation."""
        conversation = CONVERSATIONS[name]
        ours = self.answers(conversation)
        for client, sent in ours.items():
            recorded = [
                shown(read(event["frames"]))
                for event in conversation["events"]
                if event["client"] == client and event["dir"] == "to_client"
            ]
            if name in DEVIATIONS:
                recorded = DEVIATIONS[name].answers.get(client, recorded)
            self.assertEqual(sent, recorded, f"{name}: {client}")


def steps_of(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all sent messages, and the kills and restarts of the broker, in order."""
    restarts = [
        {"t": note["t"], "dir": "killed" if "SIGKILL" in note["what"] else "started"}
        for note in conversation.get("broker", ())[1:]
        if "SIGKILL" in note["what"] or "started" in note["what"]
    ]
    return sorted([*conversation["events"], *restarts], key=lambda step: step["t"])


def clients_of(conversation: dict[str, Any]) -> list[str]:
    """Return the names of the clients of a conversation."""
    return sorted({event["client"] for event in conversation["events"]})


def limits_of(conversation: dict[str, Any]) -> Limits:
    """Return the limits that a conversation was recorded with."""
    config = {key: str(value) for key, value in conversation["config"].items()}
    for setting in conversation.get("config_text", "").split(", "):
        key, _, value = setting.partition(" = ")
        config[key] = value

    def octets(path: str) -> int | None:
        return int(config[path]) if path in config else None

    return Limits(
        int(config["server/timeout"]) / 1000,
        QueueLimits(octets("mlm_server/mailbox/size-limit")),
        QueueLimits(octets("mlm_server/service/queue/size-limit")),
    )


BY_ITSELF = (mlm.ConnectionPing, mlm.Credit, mlm.Confirm)
CALLS: dict[type[mlm.Command], Callable[[Client, Any], object]] = {
    mlm.ConnectionOpen: lambda client, _: client.connect(timeout=None),
    mlm.ConnectionClose: lambda client, _: client.close(timeout=60),
    mlm.StreamWrite: lambda client, command: client.produce(command.stream),
    mlm.StreamRead: lambda client, command: client.consume(command.stream, command.pattern),
    mlm.StreamCancel: lambda client, command: client.cancel(command.stream),
    mlm.ServiceOffer: lambda client, command: client.offer(command.address, command.pattern),
    mlm.StreamSend: lambda client, command: client.send(command.subject, *command.content),
    mlm.MailboxSend: lambda client, command: send_by(client.send_to, command),
    mlm.ServiceSend: lambda client, command: send_by(client.send_for, command),
}
"""The client's method for each command that it does not send automatically."""


def send_by(send: Callable[..., None], command: mlm.MailboxSend | mlm.ServiceSend) -> None:
    """Send a command with a method of the client."""
    timeout = command.timeout / 1000
    send(command.address, command.subject, *command.content, tracker=command.tracker, timeout=timeout)


class Replay:
    """Alaska's client in place of a recorded C client, with the recorded broker."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.network = MemoryNetwork()
        self.clock = Clock()
        self.broker = ScriptedBroker(self.network, "tcp://broker")
        self.deliveries: list[Delivery] = []
        self.client: Client | None = None
        self.unmatched: list[mlm.Command] = []
        self.failures: list[Failure] = []

    def run(self) -> Replay:
        """Run the whole conversation."""
        for event in self.events:
            self.pass_until(event["t"] / 1000)
            command = read(event["frames"])
            if event["dir"] == "to_client":
                self.broker.send_frames([bytes.fromhex(frame) for frame in event["frames"]])
            elif command is not None and type(command) not in BY_ITSELF:
                self.sent_by_c(command)
        return self

    def pass_until(self, time: float) -> None:
        """Let time pass in small steps."""
        while self.clock.seconds() < time:
            self.clock.advance(min(0.05, time - self.clock.seconds()))
            self.network.run()

    def sent_by_c(self, command: mlm.Command) -> None:
        """Check that Alaska's client sends a command of the C client, automatically or by a call of its method."""
        self.collect()
        if command not in self.unmatched:
            if isinstance(command, mlm.ConnectionOpen):
                self.client = Client(
                    "tcp://broker",
                    command.address,
                    deliver=self.deliveries.append,
                    network=self.network,
                    reactor=cast("Reactor", self.clock),
                )
            assert self.client is not None
            called = CALLS[type(command)](self.client, command)
            if isinstance(called, Deferred):
                called.addErrback(self.failures.append)
            self.collect()
        self.unmatched.remove(command)

    def left_over(self) -> list[str]:
        """Return the names of the commands that Alaska's client sent automatically and the C client did not send."""
        self.collect()
        return [mlm.NAMES[type(each)] for each in self.unmatched if type(each) not in BY_ITSELF]

    def collect(self) -> None:
        """Collect the commands that Alaska's client has sent, without properties, which C does not have."""
        self.unmatched += [
            mlm.ConnectionOpen(each.address) if isinstance(each, mlm.ConnectionOpen) else each
            for each in self.broker.take()
            if not isinstance(each, mlm.ConnectionPing)
        ]


class ClientTests(SynchronousTestCase):
    """Alaska's client sends what the recorded C client sent, or what ``CLIENT_DEVIATIONS`` says."""

    def check(self, name: str) -> None:
        """Run each ordinary C client of a conversation."""
        for events in filter(is_ordinary, events_by_client(CONVERSATIONS[name])):
            replay = Replay(events).run()
            offered = [
                shown(command)
                for event in events
                if event["dir"] == "to_client" and isinstance(command := read(event["frames"]), DELIVERIES)
            ]
            self.assertEqual([shown(each.command) for each in replay.deliveries], offered, name)
            expected = CLIENT_DEVIATIONS.get((name, events[0]["client"]), ClientDeviation("as C"))
            self.assertEqual(replay.left_over(), expected.sends, name)
            self.assertEqual([each.getErrorMessage() for each in replay.failures], expected.failures, name)


def events_by_client(conversation: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the events of each client."""
    return [
        [event for event in conversation["events"] if event["client"] == client] for client in clients_of(conversation)
    ]


def is_ordinary(events: list[dict[str, Any]]) -> bool:
    """Return whether a client begins with OPEN and sends only commands that Alaska's client can send."""
    commands = [read(event["frames"]) for event in events if event["dir"] == "to_broker"]
    kinds = {type(command) for command in commands}
    opens = [command for command in commands if isinstance(command, mlm.ConnectionOpen)]
    return (
        bool(commands)
        and isinstance(commands[0], mlm.ConnectionOpen)
        and len({each.address for each in opens}) == 1
        and kinds <= {*CALLS, *BY_ITSELF}
        and (mlm.StreamSend not in kinds or mlm.StreamWrite in kinds)
    )


for _name, _conversation in CONVERSATIONS.items():
    if _conversation["peer"] == "C broker":

        def _test(self: BrokerTests, name: str = _name) -> None:
            self.check(name)

        _test.__doc__ = _conversation["note"]
        setattr(BrokerTests, f"test_{_name}", _test)

    if not any(map(is_ordinary, events_by_client(_conversation))):
        continue

    def _test_client(self: ClientTests, name: str = _name) -> None:
        self.check(name)

    _test_client.__doc__ = _conversation["note"]
    setattr(ClientTests, f"test_{_name}", _test_client)
