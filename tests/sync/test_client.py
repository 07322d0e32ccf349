"""The blocking client, with a real broker and real sockets."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from alaska import errors
from alaska.messaging.delivery import Progress
from alaska.sync import Client, Request
from tests import PROJECT
from tests.sync.sync_case import SyncCase, in_thread

SECONDS = 20


class WorkedCase(SyncCase):
    """A broker, and a worker in Python."""

    @contextmanager
    def serving(self) -> Iterator[Client]:
        """Serve requests with a blocking client."""
        worker = self.client()

        @worker.service("svc", concurrency=4)
        def serve(request: Request) -> str:
            if request.subject == "fail":
                raise ValueError("no such thing")
            if request.subject == "progress":
                request.progress(0.5, "half")
            if request.subject == "slow":
                time.sleep(0.3)
            return f"{request.text} from {threading.current_thread().name}"

        started = threading.Event()
        thread = threading.Thread(target=worker.run, kwargs={"started": started.set, "grace": 1.0})
        thread.start()
        assert started.wait(SECONDS)
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(SECONDS)
            assert not thread.is_alive()


class RequestTests(WorkedCase):
    """Requests, mail and streams."""

    @in_thread
    def test_answer(self) -> None:
        """A request returns its answer, which a function in another thread has made; a failure is an error."""
        with self.serving(), self.client() as client:
            self.assertEqual(client.request("svc", "x", "hello").text, "hello from alaska-request")
            with self.assertRaisesRegex(errors.Refused, "ValueError: no such thing"):
                client.request("svc", "fail")

    @in_thread
    def test_threads(self) -> None:
        """Many threads share a client, and each gets its own answers."""
        with self.serving(), self.client() as client, ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(client.request, "svc", "x", str(number), timeout=SECONDS) for number in range(100)]
            answers = [each.result().text.partition(" ")[0] for each in asked]
        self.assertEqual(answers, [str(number) for number in range(100)])

    @in_thread
    def test_progress(self) -> None:
        """Progress is told in the thread that has asked, which may use the client meanwhile."""
        told: list[tuple[Progress, threading.Thread]] = []
        with self.serving(), self.client() as client:

            def progressed(progress: Progress) -> None:
                client.publish("s", "progress")
                told.append((progress, threading.current_thread()))

            client.request("svc", "progress", progress=progressed)
        self.assertEqual([(each.fraction, thread) for each, thread in told], [(0.5, threading.current_thread())])

    @in_thread
    def test_mail_and_streams(self) -> None:
        """Mail and records are iterated over, until there is none for a while."""
        with self.client(address="me") as client:
            for number in range(5):
                client.publish("s", "a", str(number))
                client.mail("me", "a", str(number))
            client.flush()
            self.assertEqual([mail.text for mail in client.inbox(timeout=0.3)], list("01234"))
            with client.tail("s", since="start", timeout=0.3) as tail:
                self.assertEqual([record.text for record in tail], list("01234"))
            self.assertEqual(client.track_to("nobody", "x", timeout=0.1).status, errors.TIMEOUT_EXPIRED)

    @in_thread
    def test_manual(self) -> None:
        """With ``manual``, the program confirms mail and records."""
        with self.client(address="me") as client:
            client.mail("me", "a")
            client.publish("s", "a", "0")
            client.publish("s", "a", "1")
            client.confirm(next(client.inbox(manual=True)))
            self.assertEqual(list(client.inbox(timeout=0.2)), [])
            with client.tail("s", name="n", manual=True) as tail:
                tail.confirm(next(tail))
            with client.tail("s", name="n") as tail:
                self.assertEqual(next(tail).text, "1")

    @in_thread
    def test_cancel(self) -> None:
        """A request that waits is cancelled by another thread."""
        with self.client() as client, ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.request, "svc", "x", tracker="t", needs_offer=False, timeout=SECONDS)
            while not client.unproven and not asking.done():
                time.sleep(0.01)
            client.flush()
            self.assertEqual(client.cancel_message(tracker="t"), 1)
            self.assertRaises(errors.Refused, asking.result, SECONDS)

    @in_thread
    def test_timeout(self) -> None:
        """A request without an answer in time is a TimeoutError."""
        with self.serving(), self.client() as client:
            self.assertRaises(TimeoutError, client.request, "svc", "slow", timeout=0.05)


class ConnectionTests(WorkedCase):
    """Connecting, closing, restarts, forks."""

    @in_thread
    def test_restart(self) -> None:
        """After a restart of the broker everything goes on."""
        with self.serving(), self.client() as client:
            client.request("svc", "x")
            self.restart()
            self.assertTrue(client.request("svc", "x", "again", needs_offer=False, timeout=SECONDS).text)

    @in_thread
    def test_no_room(self) -> None:
        """A full send buffer blocks for a while, and then is an error."""
        with self.client(most_messages=5, send_timeout=0.1) as client:
            self.in_reactor(self.broker.stopService)
            with self.assertRaises(errors.BacklogFull):
                for _ in range(20):
                    client.publish("s", "a")
            self.assertEqual(client.unproven, 5)
            self.broker = self.in_reactor(self.start)
            client.flush(SECONDS)

    @in_thread
    def test_no_broker(self) -> None:
        """Without a broker connecting fails in time, and leaves no thread."""
        self.in_reactor(self.broker.stopService)
        client, before = self.client(timeout=0.2), threading.active_count()
        self.assertRaises(errors.ConnectTimeout, client.connect)
        self.assertEqual(threading.active_count(), before)
        self.broker = self.in_reactor(self.start)
        client = self.client()
        client.connect()
        client.close()
        self.assertEqual(threading.active_count(), before)

    @in_thread
    def test_closed(self) -> None:
        """A client that is not connected, or is closed, says so; one may be closed twice."""
        client = self.client()
        self.assertRaises(errors.NotConnected, client.publish, "s", "a")
        with client:
            client.publish("s", "a")
        client.close()
        self.assertRaises(errors.NotConnected, client.publish, "s", "a")
        self.assertRaises(errors.NotConnected, client.inbox)
        with client:
            client.publish("s", "a")

    @in_thread
    def test_closed_by_another_thread(self) -> None:
        """A thread that waits gets an error when another one closes the client."""
        client = self.client()
        client.connect()
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.request, "svc", "x", needs_offer=False, timeout=SECONDS)
            while not client.unproven and not asking.done():
                time.sleep(0.01)
            client.close()
            self.assertRaises(errors.NotConnected, asking.result, SECONDS)

    def run_script(self, text: str) -> str:
        """Return what a script prints that has the endpoint in ``E``; it must end by itself."""
        script = f"from alaska.sync import Client\nE = {self.endpoint!r}\n{text}"
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=True,
        ).stdout

    @in_thread
    def test_exit_without_close(self) -> None:
        """A script that ends without closing its client does not hang, and its messages have arrived."""
        with self.client() as client, client.tail("s", timeout=SECONDS) as tail:
            self.assertEqual(self.run_script("c = Client(E)\nc.connect()\nc.publish('s', 'last')\n"), "")
            self.assertEqual(next(tail).subject, "last")

    @in_thread
    def test_exit_with_a_stuck_function(self) -> None:
        """A function that serves a request and never returns does not keep its program from ending."""
        text = """\
import threading, time
c = Client(E)
stuck = threading.Event()
@c.service('stuck')
def serve(request):
    stuck.set()
    time.sleep(1000)
started = threading.Event()
threading.Thread(target=c.run, kwargs={'started': started.set, 'grace': 0.1}, daemon=True).start()
started.wait()
d = Client(E)
d.connect()
d.send_for('stuck', 'x')
stuck.wait()
print('end')
"""
        self.assertIn("end", self.run_script(text))

    @in_thread
    def test_fork(self) -> None:
        """After a fork, the client says in the child that it belongs to the parent, where it goes on working."""
        text = """\
import os, sys
c = Client(E, address='me')
c.connect()
child = os.fork()
if not child:
    try:
        c.publish('s', 'x')
    except Exception as error:
        print(error, flush=True)
    with Client(E) as own:
        own.mail('me', 'from the child')
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(next(c.inbox()).subject)
"""
        told = "this client was connected before a fork; connect another one in the child"
        self.assertEqual(self.run_script(text), f"{told}\n3\nfrom the child\n")

    @in_thread
    def test_own_thread(self) -> None:
        """A function that is called in the client's own thread cannot wait for it, and is told so."""
        raised: list[str] = []

        def started() -> None:
            try:
                worker.publish("s", "a")
            except RuntimeError as error:
                raised.append(str(error))
            finally:
                worker_done.set()

        worker, worker_done = self.client(), threading.Event()
        worker.service("svc")(print)
        thread = threading.Thread(target=worker.run, kwargs={"started": started})
        thread.start()
        self.assertTrue(worker_done.wait(SECONDS))
        worker.stop()
        thread.join(SECONDS)
        self.assertIn("in its own thread", raised[0])
