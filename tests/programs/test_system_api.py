"""The script API in the whole system, with real processes and sockets."""

from __future__ import annotations

import os
import signal

from alaska.client import Client, Delivery
from tests.programs.system_case import SystemTestCase, reactor, until


class RequestCase(SystemTestCase):
    """A client that sends requests and waits for the answers."""

    async def ask(self, client: Client, subject: str, content: bytes = b"", service: str = "default") -> str:
        """Return the answer of a script."""
        delivery = await client.ask(service, subject, content, timeout=10)
        return b"|".join(delivery.content).decode()

    async def asker(self) -> Client:
        """Return a connected client with credit."""
        client = Client(self.endpoint, "asker", credit=0)
        self.clients.append(client)
        await client.connect(timeout=10)
        return client


class ApiTests(RequestCase):
    """Replies, requests between services, and the key-value store."""

    async def test_answers(self) -> None:
        """A requester gets the answer to each request, by return value or by reply."""
        self.script("twice", "return alaskaContext .. alaskaContext")
        self.script("parts", "alaska.reply(alaska.subject, { from = alaska.sender })")
        await self.start_worker(self.worker_config())
        client = await self.asker()
        for number in range(20):
            self.assertEqual(await self.ask(client, "twice", b"%d" % number), str(number) * 2)
        self.assertEqual(await self.ask(client, "parts"), 'parts|{"from":"asker"}')

    async def test_request_to_another_service(self) -> None:
        """A script can send requests to another worker's service and to its own; an unknown service fails at once."""
        self.script("outer", "return 'outer ' .. alaska.request(alaskaContext, 'inner', 'x')")
        self.script("inner", "return 'inner of ' .. alaska.address .. ' ' .. alaska.frames[1]")
        self.script("why", "local _, why = alaska.request('nowhere', 'job') return why")
        await self.start_worker(self.worker_config())
        other = self.config("other.cfg", self.worker_config(embedded=False).read_text(encoding="utf-8"))
        other.write_text(
            other.read_text(encoding="utf-8") + '    service\n        address = "other"\n', encoding="utf-8"
        )
        await self.start_worker(other)
        client = await self.asker()
        self.assertEqual(await self.ask(client, "outer", b"other"), "outer inner of other x")
        self.assertEqual(await self.ask(client, "outer", b"default"), "outer inner of default x")
        self.assertEqual(await self.ask(client, "why"), "nobody offers the service")

    async def test_all_threads_wait_for_each_other(self) -> None:
        """If all threads of a pool wait for each other, the requests time out with an error that says so."""
        self.script("loop", "local _, why = alaska.request('default', 'loop', '', 0.5) return why")
        self.script("hello", "return 'hello'")
        await self.start_worker(self.worker_config(more='    pool\n        size = "1"\n'))
        client = await self.asker()
        answer = await self.ask(client, "loop")
        self.assertEqual(
            answer, "no answer from default within 0.5 s, and all threads of this worker (1) wait for answers"
        )
        self.assertEqual(await self.ask(client, "hello"), "hello")

    async def test_stop_while_waiting(self) -> None:
        """A worker whose script waits for an answer stops soon after SIGTERM, and the script gets the reason."""
        self.script("wait", "print('waiting') print(alaska.request('silent', 'job', '', 300))")
        await self.start_broker()
        silent = await self.client("silent", lambda _delivery: None)
        await silent.offer("silent")
        worker = await self.start_worker(
            self.worker_config(embedded=False, more='    stop\n        timeout = "3000"\n')
        )
        await self.alas("-s", "wait")
        await worker.until("[SREQ]")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended.addTimeout(8, reactor), 0)
        self.assertIn("nil\tthe worker is stopping", worker.output)

    async def test_store_over_threads_and_restarts(self) -> None:
        """The key-value store is shared by all threads, and with a file it survives a kill."""
        self.script("add", "alaska.kv.incr('n') sendTo('done', '', 'box')")
        self.script("sum", "return alaska.kv.get('n')")
        store = self.folder / "kv.db"
        config = self.worker_config(more=f'    kv\n        store = "{store}"\n')
        worker = await self.start_worker(config)
        got: list[Delivery] = []
        await self.client("box", got.append)
        client = await self.asker()
        for _ in range(200):
            client.send_for("default", "add")
        await until(lambda: len(got) == 200)
        self.assertEqual(await self.ask(client, "sum"), "200")
        worker.send_signal(signal.SIGKILL)
        await worker.ended
        await client.close(timeout=0.1).addErrback(lambda _failure: None)
        await self.start_worker(config)
        self.assertEqual(await self.ask(await self.asker(), "sum"), "200")

    async def test_bad_store(self) -> None:
        """A store file that cannot be used ends the worker with an error."""
        (self.folder / "kv.db").write_bytes(b"something else" * 1000)
        config = self.worker_config(more='    kv\n        store = "kv.db"\n')
        worker = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await worker.ended, 1)
        self.assertIn("kv.db cannot be used: ", worker.output)
        self.assertNotIn("Traceback", worker.output)


class ReloadTests(RequestCase):
    """Scripts that are edited while the system runs."""

    async def test_hot_reload(self) -> None:
        """An edit is used from the next request on; a broken version is reported, and the last good one is used."""
        self.script("job", "return 1")
        config = self.worker_config()
        text = config.read_text(encoding="utf-8").replace("scripts\n", 'scripts\n        keep-last-good = "1"\n')
        config.write_text(text, encoding="utf-8")
        worker = await self.start_worker(config)
        client = await self.asker()
        errors = await self.client("awerr")
        for version in range(1, 6):
            self.script("job", f"return {version}")
            self.assertEqual(await self.ask(client, "job"), str(version))
        self.script("job", "return (")
        for _ in range(5):
            self.assertEqual(await self.ask(client, "job"), "5")
        delivery = await errors.__anext__().addTimeout(10, reactor)
        self.assertIn(b"job.lua:1: ", delivery.content[0])
        self.assertEqual(worker.output.count("the last good version of this script is used"), 1)
        self.script("job", "return 6")
        self.assertEqual(await self.ask(client, "job"), "6")


class ElsewhereTests(ApiTests):
    """The same tests with LuaJIT and isolation by process."""

    def setUp(self) -> None:
        super().setUp()
        variables = {"ALASKA_WORKER_LUA_VERSION": "luajit", "ALASKA_WORKER_POOL_ISOLATION": "process"}
        self.patch(os, "environ", {**os.environ, **variables})


class ElsewhereReloadTests(ReloadTests):
    """The same tests with isolation by process."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(os, "environ", {**os.environ, "ALASKA_WORKER_POOL_ISOLATION": "process"})
