"""Administration of real programs: in-band by a client that knows nothing but the protocol, and by HTTP."""

from __future__ import annotations

import json
from typing import Any

import zmq
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from alaska.mlm import commands as mlm
from alaska.mlm.codec import decode, encode
from tests.programs.http_case import HTTPCase
from tests.programs.system_case import reactor

SUBJECTS = (
    "overview", "services", "mailboxes", "queues", "streams", "readers", "clients", "workers", "scripts", "store",
    "limits", "configuration",
)  # fmt: skip
"""What can be asked of a broker without arguments."""


def exchange(endpoint: str, command: mlm.Command) -> Any:
    """Send a command over a new connection, as a C client would, and return the JSON of the mail that answers it."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.setsockopt(zmq.RCVTIMEO, 20_000)
        link.setsockopt(zmq.LINGER, 0)
        link.connect(endpoint)
        link.send_multipart(encode(mlm.ConnectionOpen(b"operator")))
        assert isinstance(decode(link.recv_multipart()), mlm.Ok)
        link.send_multipart(encode(command))
        answer = decode(link.recv_multipart())
        assert isinstance(answer, mlm.MailboxDeliver)
        return json.loads(answer.content[0])


class AdministrationTests(HTTPCase):
    """A broker and a worker in two processes."""

    async def ask_broker(self, subject: str, **arguments: object) -> Any:
        """Ask the broker's own service."""
        content = json.dumps(arguments).encode()
        return await deferToThread(
            exchange, self.endpoint, mlm.ServiceSend(b"alaska.admin", subject.encode(), b"t", 0, (content,))
        )

    async def test_not_compiled(self) -> None:
        """A script that does not compile is known although no request has needed it; when it is mended, it is not."""
        await self.start_broker()
        self.script("good", "return 1")
        self.script("bad", "-- new\nreturn 1 +")
        worker = await self.start_worker(self.worker_config(embedded=False))
        await worker.until("services/bad.lua:2: unexpected symbol near")
        await self.until_broken(["bad"])
        listed = await self.shown("scripts")
        self.assertRegex(listed, r"(?m)^bad +0 .* does not compile: .*/services/bad.lua:2: unexpected symbol near")
        self.assertNotIn("good", listed)
        self.assertIn("scripts that do not compile: bad;", await self.shown("status"))
        self.script("bad", "return 1")
        await self.until_broken([])
        self.assertNotIn("do not compile", await self.shown("status"))

    async def shown(self, command: str) -> str:
        """Return what a command of alas prints."""
        program = self.run_program("-m", "alaska.commands.alas", command, "-e", self.endpoint)
        await program.ended
        return program.output

    async def until_broken(self, names: list[str]) -> None:
        """Wait until the broker knows that exactly these scripts do not compile."""
        for _ in range(400):
            items = (await self.ask_broker("scripts"))["items"]
            if [each["name"] for each in items if each["broken"]] == names:
                return
            await deferLater(reactor, 0.05, lambda: None)
        raise AssertionError(items)

    async def test_in_band(self) -> None:
        """A plain client at the broker's loopback endpoint sees and does everything, except for dead letters."""
        await self.start_broker()
        self.script("x", "return 1")
        worker = await self.start_worker(self.worker_config(embedded=False))
        for subject in SUBJECTS:
            self.assertNotIn("error", await self.ask_broker(subject), subject)
        self.assertEqual((await self.ask_broker("letters"))["status"], 401)
        self.assertTrue((await self.ask_broker("pause", service="default"))["done"])
        await self.alas("-s", "x")
        self.assertEqual((await self.ask_broker("services"))["items"][0]["waiting"], 1)
        self.assertEqual((await self.ask_broker("purge", kind="service", name="default"))["count"], 1)
        self.assertTrue((await self.ask_broker("resume", service="default"))["done"])
        await self.alas("-s", "x")
        await worker.until("outcome: ok")
        self.assertEqual((await self.ask_broker("drain"))["done"], True)
        self.assertEqual((await self.alas("-s", "x")).status, 75)
        self.assertTrue((await self.ask_broker("resume"))["done"])

    async def test_worker(self) -> None:
        """A worker answers mail to its address, and the broker shows within seconds what it tells."""
        await self.start_broker()
        self.script("x", "return 1")
        await self.start_worker(self.worker_config(embedded=False))
        await self.alas("-s", "x")
        told: list[Any] = []

        async def has_told() -> None:
            while not told or not told[-1]["overview"]["succeeded"]:
                told.extend((await self.ask_broker("workers"))["items"])

        await has_told()
        self.assertEqual((await self.ask_broker("scripts"))["items"][0]["calls"], 1)
        address = told[-1]["overview"]["address"].encode()
        for subject, expected in (("overview", "program"), ("scripts", "items"), ("drain", "error")):
            mail = mlm.MailboxSend(address, subject.encode(), b"t", 0, (b"",))
            self.assertIn(expected, await deferToThread(exchange, self.endpoint, mail))

    async def test_http(self) -> None:
        """The API of a worker with an embedded broker shows and drains both, each below its own path."""
        self.script("x", "return 1")
        worker = await self.start_worker(self.worker_config(more=self.http()))
        await self.alas("-s", "x")
        for path, program in (("/api/v1/overview", "broker"), ("/api/v1/worker/overview", "worker")):
            answer = await self.ask(worker, "GET", path)
            self.assertEqual((answer[0], json.loads(answer[2])["program"]), (200, program))
        for path in ("scripts", "running"):
            self.assertEqual((await self.ask(worker, "GET", f"/api/v1/worker/{path}"))[0], 200)
        token = "Bearer T-dan"
        self.assertEqual((await self.ask(worker, "POST", "/api/v1/worker/drain"))[0], 401)
        self.assertEqual((await self.ask(worker, "POST", "/api/v1/worker/drain", Authorization=token))[0], 200)
        answer = await self.ask(worker, "GET", "/api/v1/worker/overview")
        self.assertTrue(json.loads(answer[2])["draining"])
        self.assertEqual((await self.ask(worker, "POST", "/api/v1/worker/resume", Authorization=token))[0], 200)
