"""The example of docs/access.md with real programs."""

from __future__ import annotations

import signal

import zmq
from twisted.internet.threads import deferToThread

from alaska.client import Client
from alaska.errors import Refused
from alaska.mlm import commands as mlm
from alaska.mlm.codec import decode, encode
from tests import PROJECT
from tests.programs.system_case import Program, SystemTestCase
from tests.project.test_access_page import example

USERS = ("render", "ann", "bob", "results", "olga", "eve")


class AccessTests(SystemTestCase):
    """A broker with the rules, a worker with the shipped services, and clients."""

    async def start(self) -> tuple[Program, Program]:
        """Start the broker and the worker."""
        config = self.config("malamute.cfg", example().replace("tcp://127.0.0.1:9999", self.endpoint))
        self.config("passwords.cfg", "".join(f"{name}={name}-secret\n" for name in USERS))
        for script in (PROJECT / "services").glob("*.lua"):
            self.script(script.stem, script.read_text(encoding="utf-8"))
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("Broker ready")
        auth = '    auth\n        plain\n            username = "render"\n            password = "render-secret"\n'
        return broker, await self.start_worker(self.worker_config(embedded=False, more=auth))

    async def user(self, name: str, address: str) -> Client:
        """Return a connected client of a user."""
        client = Client(self.endpoint, address, username=name, password=f"{name}-secret")
        self.clients.append(client)
        await client.connect(timeout=10)
        return client

    async def ask(self, name: str, subject: str) -> int | None:
        """Send a request with alas, and return its exit status."""
        return (await self.alas("-u", name, "-p", f"{name}-secret", "-s", subject, "-t", "10000")).status

    async def test_example(self) -> None:
        """The worker runs what producers may ask and sends its results; nothing else is possible."""
        broker, worker = await self.start()
        reader = await self.user("ann", "ann")
        await reader.consume("numbers", "")
        self.assertEqual(await self.ask("bob", "pi"), 0)
        self.assertEqual([(await anext(reader)).address], ["numbers"])
        with self.assertRaises(Refused) as failed:
            await reader.ask("default", "dump", b"no JSON", timeout=10)
        self.assertIn("dump.lua", str(failed.exception))
        # The error has gone to the mailbox aw.err.
        self.assertNotIn("cannot send as", worker.output)
        results = await self.user("results", "aw.res.pi")
        self.assertEqual((await anext(results)).subject, "pi.28")
        for name, subject in (("bob", "other"), ("eve", "pi"), ("results", "pi")):
            self.assertEqual(await self.ask(name, subject), 77, name)
        for name, address in (("bob", "ann"), ("eve", "eve"), ("ann", "aw.res.pi"), ("olga", "AW::x")):
            with self.assertRaises(Refused) as refused:
                await self.user(name, address)
            self.assertEqual(refused.exception.status, 401)
        with self.assertRaises(Refused):
            await reader.offer("default")
        letters = (await (await self.user("olga", "olga")).letters("list"))["letters"]
        self.assertEqual([letter["subject"] for letter in letters], ["dump"])
        await broker.until("the access rules have refused")

    async def test_reload(self) -> None:
        """At SIGHUP, offers that are not allowed any more end, and come back when they are allowed again."""
        broker, _ = await self.start()
        bob = await self.user("bob", "bob/1")  # alas would be started too slowly: the worker ends after 3 s
        path = self.folder / "malamute.cfg"
        rules = path.read_text(encoding="utf-8")
        path.write_text(rules.replace('offer = "default"', 'offer = "none"'), encoding="utf-8")
        broker.send_signal(signal.SIGHUP)
        await broker.until("mlm_server/access has changed")
        with self.assertRaisesRegex(Refused, "nobody offers"):
            await bob.ask("default", "pi")
        bob.send_for("default", "pi")
        path.write_text(rules, encoding="utf-8")
        broker.send_signal(signal.SIGHUP)
        results = await self.user("results", "aw.res.pi")
        self.assertEqual((await anext(results)).subject, "pi.28")

    async def test_routing_id_of_another(self) -> None:
        """Who connects with the routing id of a client that has left cannot use its session."""
        await self.start()
        replies = await deferToThread(_take_over, self.endpoint)
        self.assertEqual([type(reply) for reply in replies], [mlm.Ok, *[mlm.Error] * 3])


def _take_over(endpoint: str) -> list[mlm.Command]:
    """Open as one user, and then send a request, and open, with the same routing id as another user."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    replies = []
    steps: list[tuple[bytes, list[mlm.Command]]] = [
        (b"ann", [mlm.ConnectionOpen(b"ann")]),
        (b"bob", [mlm.ServiceSend(b"default", b"pi", b"", 0, ()), mlm.ConnectionPing(), mlm.ConnectionOpen(b"ann")]),
    ]
    for name, commands in steps:
        peer = _connect(context, endpoint, name)
        while not peer.poll(1000):
            # The broker has not noticed yet that the one before has left, and ignores another one with its routing id.
            peer.close(0)
            peer = _connect(context, endpoint, name)
        peer.recv_multipart()
        for command in commands:
            peer.send_multipart(encode(command))
            replies.append(decode(peer.recv_multipart()))
        peer.close(0)
    context.destroy(0)
    return replies


def _connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, name: bytes) -> zmq.Socket[bytes]:
    """Return a socket with the routing id, which has sent a PING: it is answered with or without a session."""
    peer = context.socket(zmq.DEALER)
    peer.set(zmq.ROUTING_ID, b"ann's")
    peer.set(zmq.PLAIN_USERNAME, name)
    peer.set(zmq.PLAIN_PASSWORD, name + b"-secret")
    peer.set(zmq.RCVTIMEO, 10_000)
    peer.connect(endpoint)
    peer.send_multipart(encode(mlm.ConnectionPing()))
    return peer
