"""Ctrl-C and SIGTERM in programs with clients: real processes, a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from twisted.trial.unittest import SkipTest

from alaska.sync import Delivery, Request
from tests import PROJECT
from tests.sync.sync_case import SyncCase, in_thread

SECONDS = 30
INTERRUPTED = "KeyboardInterrupt"
NOISE = ("Exception ignored", "never awaited", "never retrieved", "was destroyed", "Exception in", "RuntimeError")


class Ended(NamedTuple):
    """How a program has ended: its status, what it has printed, and the lines of its standard error."""

    status: int
    output: str
    errors: list[str]


class Program:
    """A program that prints a line when it is ready for a signal."""

    def __init__(self, endpoint: str, text: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-W", "always", "-c", f"E = {endpoint!r}\n{text}"],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_line(self) -> str:
        """Return the next line that the program prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait until the program ends by itself."""
        try:
            output, lines = self._process.communicate(timeout=SECONDS)
        finally:
            self._process.kill()
        return Ended(self._process.returncode, output, lines.splitlines())


class SignalsCase(SyncCase):
    """A broker, and programs."""

    def program(self, text: str) -> Program:
        """Start a program that has the endpoint in ``E``, and wait for its first line."""
        program = Program(self.endpoint, text)
        program.await_line()
        return program

    def check_quiet(self, ended: Ended) -> None:
        """Check that there is nothing on standard error."""
        self.assertEqual(ended.errors, [])

    def check_interrupted(self, ended: Ended) -> None:
        """Check that KeyboardInterrupt has ended the program, and that nothing else is on standard error."""
        self.assertEqual((ended.status, ended.errors[-1]), (-signal.SIGINT, INTERRUPTED))
        self.assertEqual([line for line in ended.errors if any(noise in line for noise in NOISE)], [])


READ = """\
from alaska.sync import Client
import time
with Client(E, address='box') as client:
    for mail in client.inbox():
        print(mail.subject)
        time.sleep(1000)
"""
WAIT = """\
from alaska.sync import Client
with Client(E, address='box') as client:
    inbox = client.inbox()
    print('waits')
    for mail in inbox:
        print(mail.subject)
"""
ASK = """\
from alaska.sync import Client
import threading
with Client(E) as client:
    threading.Timer(0.3, print, ('asks',)).start()  # then the request waits
    client.request('svc', 'x', needs_offer=False, timeout=1000, expiry=0)
"""
ASK_WITHOUT_CLOSE = """\
from alaska.sync import Client
client = Client(E)
client.connect()
import threading
threading.Timer(0.3, print, ('asks',)).start()
client.request('svc', 'x', needs_offer=False, timeout=1000)
"""
BULK = """\
from alaska.sync import Client
with Client(E) as client:
    print('sends')
    while True:
        client.publish('s', 'x')
"""
ASK_ASYNC = """\
from alaska.aio import Client
import asyncio
async def main():
    async with Client(E) as client:
        print('asks')
        await client.request('svc', 'x', needs_offer=False, timeout=1000)
asyncio.run(main())
"""
READ_ASYNC = """\
from alaska.aio import Client
import asyncio
async def main():
    async with Client(E, address='box') as client:
        async for mail in client.inbox():
            print(mail.subject)
            await asyncio.sleep(1000)
asyncio.run(main())
"""


class WaitingTests(SignalsCase):
    """Programs that wait for answers and mail."""

    @in_thread
    def test_interrupted(self) -> None:
        """Ctrl-C ends a call that waits, by KeyboardInterrupt, and the program at once."""
        for text in (ASK, ASK_WITHOUT_CLOSE, WAIT, BULK, ASK_ASYNC):
            program = self.program(text)
            program.signal(signal.SIGINT)
            self.check_interrupted(program.end())

    @in_thread
    def test_terminated(self) -> None:
        """SIGTERM ends such a program at once, and silently."""
        for text in (ASK, WAIT, ASK_ASYNC):
            program = self.program(text)
            program.signal(signal.SIGTERM)
            ended = program.end()
            self.check_quiet(ended)
            self.assertEqual(ended.status, -signal.SIGTERM)

    @in_thread
    def test_mail_is_delivered_again(self) -> None:
        """Mail that was being processed when a signal has ended the program is delivered again."""
        for text in (READ, READ_ASYNC):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.client() as sender:
                    sender.mail("box", "first")
                    sender.mail("box", "second")
                program = self.program(text)
                program.signal(number)
                program.end()
                with self.client(address="box") as reader:
                    self.assertEqual([next(reader.inbox()).subject for _ in range(2)], ["first", "second"])


SERVE = """\
from alaska.sync import Client
import time
client = Client(E)
@client.service('svc')
def serve(request):
    print('began')
    time.sleep(float(request.text))
    return 'done'
client.run(grace={grace}, started=lambda: print('ready'))
print('after')
"""
SERVE_ASYNC = """\
from alaska.aio import Client
import asyncio
client = Client(E)
@client.service('svc')
async def serve(request):
    print('began')
    await asyncio.sleep(float(request.text))
    return 'done'
async def other():
    try:
        await asyncio.sleep(1000)
    finally:
        print('cancelled')
async def main():
    running = client.run(grace={grace}, started=lambda: print('ready'))
    if {is_alone}:
        await running
    else:
        task = asyncio.create_task(running)
        await other()
try:
    asyncio.run(main())
finally:
    print('after')
"""


class ServingTests(SignalsCase):
    """Programs that serve requests."""

    def served(self, text: str, number: int, seconds: float) -> tuple[Ended, str]:
        """Send a signal while a request is served that takes some seconds; return the end and the answer."""
        program = self.program(text)
        with self.client() as client, ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.request, "svc", "x", str(seconds), needs_offer=False, timeout=SECONDS, expiry=0)
            self.assertEqual(program.await_line(), "began")
            program.signal(number)
            ended = program.end()
            if seconds >= SECONDS:
                self.take_over(asking)
            return ended, asking.result(SECONDS).text

    def take_over(self, asking: Future[Delivery]) -> None:
        """Serve until the request is answered."""
        worker = self.client()
        asking.add_done_callback(lambda _: worker.stop())

        @worker.service("svc")
        def serve(request: Request) -> str:
            return f"attempt {request.attempt}"

        worker.run()

    @in_thread
    def test_finished(self) -> None:
        """A request that runs is finished and answered before the program ends, quietly and with the status 0."""
        for number in (signal.SIGINT, signal.SIGTERM):
            ended, answer = self.served(SERVE.format(grace=20), number, 0.3)
            self.check_quiet(ended)
            self.assertEqual((answer, ended.status, ended.output), ("done", 0, "after\n"))

    @in_thread
    def test_given_back(self) -> None:
        """A request that takes longer than the grace is given back, and another worker serves it."""
        for text in (SERVE.format(grace=0.1), SERVE_ASYNC.format(grace=0.1, is_alone=True)):
            ended, answer = self.served(text, signal.SIGTERM, SECONDS)
            self.check_quiet(ended)
            self.assertEqual((ended.status, ended.output), (0, "after\n"))
            self.assertIn("attempt", answer)

    @in_thread
    def test_asyncio_terminated(self) -> None:
        """With asyncio, SIGTERM lets requests finish, and then cancels whatever else the program does."""
        for is_alone in (True, False):
            ended, answer = self.served(SERVE_ASYNC.format(grace=20, is_alone=is_alone), signal.SIGTERM, 0.3)
            self.check_quiet(ended)
            self.assertEqual((answer, ended.status), ("done", 0))
            self.assertEqual(ended.output, "after\n" if is_alone else "cancelled\nafter\n")

    @in_thread
    def test_asyncio_interrupted(self) -> None:
        """With asyncio, Ctrl-C lets requests finish, and then is KeyboardInterrupt, as in all such programs."""
        if sys.version_info < (3, 11):
            raise SkipTest("before Python 3.11, asyncio.run cancels all tasks at once")
        ended, answer = self.served(SERVE_ASYNC.format(grace=20, is_alone=True), signal.SIGINT, 0.3)
        self.check_interrupted(ended)
        self.assertEqual((answer, ended.output), ("done", "after\n"))

    @in_thread
    def test_asyncio_interrupted_and_given_back(self) -> None:
        """With asyncio, Ctrl-C gives back what is not finished in time."""
        ended, answer = self.served(SERVE_ASYNC.format(grace=0.1, is_alone=True), signal.SIGINT, SECONDS)
        self.check_interrupted(ended)
        self.assertIn("attempt", answer)

    @in_thread
    def test_before_the_broker(self) -> None:
        """A program that waits for its broker ends, too."""
        text = """\
from alaska.{kind} import Client
import asyncio
client = Client('tcp://127.0.0.1:1', timeout=None)
client.service('svc')(print)
print('waits')
{run}
"""
        for kind, run in (("sync", "client.run()"), ("aio", "asyncio.run(client.run())")):
            program = self.program(text.format(kind=kind, run=run))
            program.signal(signal.SIGTERM)
            ended = program.end()
            self.check_quiet(ended)

    @in_thread
    def test_own_handler(self) -> None:
        """A handler of the program stays in place."""
        text = """\
from alaska.sync import Client
import signal, threading
client = Client(E)
client.service('svc')(print)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=client.stop).start())
client.run(started=lambda: print('ready'))
print('stopped')
"""
        program = self.program(text)
        program.signal(signal.SIGTERM)
        self.assertEqual(program.end(), Ended(0, "stopped\n", []))

    @in_thread
    def test_handler_afterwards(self) -> None:
        """When the program serves no more, SIGTERM ends it as before."""
        text = """\
from alaska.sync import Client
import os, signal, time
client = Client(E)
client.service('svc')(print)
client.run(started=lambda: os.kill(os.getpid(), signal.SIGTERM))
print('stopped')
time.sleep(1000)
"""
        program = self.program(text)
        program.signal(signal.SIGTERM)
        self.assertEqual(program.end(), Ended(-signal.SIGTERM, "", []))
