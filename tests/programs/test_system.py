"""The whole system, with real processes and sockets."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from twisted.internet.defer import Deferred

from alaska.links import Network
from tests import PROJECT
from tests.programs.system_case import SystemTestCase, reactor, until


class DemoTests(SystemTestCase):
    """The first steps of the README."""

    async def test_from_alas_to_script_and_back(self) -> None:
        """One worker is a whole system: it dumps requests of alas, and sends pi by mail and by stream."""
        for name in ("dump", "pi"):
            self.script(name, (PROJECT / "services" / f"{name}.lua").read_text(encoding="utf-8"))
        worker = await self.start_worker(self.worker_config())
        for run in range(1, 6):
            alas = await self.alas(stdin=b'{"c":%d}' % run)
            self.assertEqual(alas.status, 0)
            self.assertIn("Sent!", alas.output)
        await worker.until("Context dump from Lua:", 5)
        await worker.until("c = 5")
        rule = "-" * 80
        dumped = re.sub(r"(?m)^\S+ \[\S+\] default/dump \S+: ", "", worker.output)
        self.assertIn(f"\n{rule}\nContext dump from Lua:\n{{\n  c = 1\n}}\n{rule}\n", dumped)
        mailbox = await self.client("aw.res.pi")
        stream = await self.client("reader")
        await stream.consume("numbers", ".*")
        await self.alas("-s", "pi")
        for client in (mailbox, stream):
            delivery = await client.__anext__().addTimeout(10, reactor)
            self.assertEqual((delivery.subject, delivery.content), ("pi.28", (b"3.1415824182477",)))
            self.assertTrue(re.fullmatch(r"LU::.+::\d+-[0-9A-F]{4}", delivery.sender), delivery.sender)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)

    async def test_second_worker_is_the_same_command(self) -> None:
        """A second worker with the same configuration connects to the first one's broker, and both get requests."""
        self.script("who", "print('done by me')")
        config = self.worker_config()
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        self.assertIn("joining the broker", second.output)
        for _ in range(4):
            await self.alas("-s", "who")
        for worker in (first, second):
            await worker.until("done by me", 2)

    async def test_alas_without_broker(self) -> None:
        """Without a broker alas prints an error and exits with status 69."""
        alas = await self.alas("-t", "300")
        self.assertEqual(alas.status, 69)
        self.assertRegex(alas.output, f"alas: no broker answers at {self.endpoint} within 0.3\\d* s; is it running")
        self.assertNotIn("Traceback", alas.output)


class ErrorTests(SystemTestCase):
    """Failing scripts and malformed input."""

    async def test_errors_are_mailed(self) -> None:
        """Missing scripts, syntax errors and run-time errors are mailed to the error mailbox with the context."""
        self.script("syntax", "this is not Lua")
        self.script("broken", "local function f() error('oh no') end\nf()")
        worker = await self.start_worker(self.worker_config())
        errors = await self.client("awerr")
        wanted = {"syntax": b"syntax.lua:1:", "broken": b"oh no", "missing": b"missing", "../etc/passwd": b""}
        for subject, part in wanted.items():
            await self.alas("-s", subject, stdin=b"context of " + subject.encode())
            delivery = await errors.__anext__().addTimeout(10, reactor)
            self.assertEqual(delivery.subject, subject)
            text, context, described = delivery.content
            self.assertIn(json.loads(described)["message"], text.decode())
            self.assertIn(part, text)
            self.assertEqual(context, b"context of " + subject.encode())
        self.assertTrue(delivery.sender.startswith("EP::"))
        self.assertIn("stack traceback", worker.output)

    async def test_exit_does_not_end_the_daemon(self) -> None:
        """A script that calls os.exit does not end the worker."""
        self.script("exit", "os.exit(7)")
        self.script("hello", "print('still here')")
        worker = await self.start_worker(self.worker_config())
        await self.alas("-s", "exit")
        await self.alas("-s", "hello")
        await worker.until("still here")

    async def test_garbage_at_broker_and_worker(self) -> None:
        """Broker and worker keep serving after thousands of malformed frames and unknown requests."""
        self.script("hello", "print('still here')")
        worker = await self.start_worker(self.worker_config())
        network = Network(reactor)
        self.addCleanup(network.close)
        up: Deferred[Any] = Deferred()
        link = network.dealer(self.endpoint)
        link.start(lambda _frames: None, lambda state: None if up.called else up.callback(state))
        await up
        for number in range(5000):
            link.send([b"\xaa\xa8" + bytes((number % 256,)) * (number % 50), b"x" * (number % 7)][: 1 + number % 2])
        sender = await self.client("sender")
        for number in range(500):
            sender.send_for("default", os.urandom(number % 20), os.urandom(30))
        sender.send_for("default", "hello")
        await worker.until("still here")


class LoadTests(SystemTestCase):
    """Many requests."""

    async def test_twenty_thousand(self) -> None:
        """Each of 20 000 requests is run exactly once."""
        log = self.folder / "executed"
        self.script("note", f"local f = io.open('{log}', 'a') f:write(alaskaContext, '\\n') f:close()")
        # Without sandbox, because the script writes to a file.
        self.patch(os, "environ", {**os.environ, "ALASKA_WORKER_SCRIPTS_SANDBOX": "0"})
        await self.start_worker(self.worker_config())
        sender = await self.client("sender")
        count = 20_000
        for number in range(count):
            sender.send_for("default", "note", b"%d" % number)
        await until(lambda: log.exists() and log.read_bytes().count(b"\n") >= count, seconds=90)
        executed = sorted(map(int, log.read_text(encoding="ascii").split()))
        self.assertEqual(executed, list(range(count)))
