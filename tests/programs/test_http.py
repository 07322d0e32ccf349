"""HTTP of real programs: one port of several processes, passwords, access rules, and requests."""

from __future__ import annotations

import json
import signal

from alaska.errors import Refused
from tests.ports import free_endpoint
from tests.programs.http_case import HTTPCase


class HTTPTests(HTTPCase):
    """Programs that serve HTTP."""

    async def test_worker(self) -> None:
        """A worker with an embedded broker shows both, runs requests, and confirms what it has."""
        self.script("hello", "return 'hello ' .. alaskaContext")
        worker = await self.start_worker(self.worker_config(more=self.http()))
        status, _, body = await self.ask(worker, "GET", "/healthz")
        names = [check["name"] for check in json.loads(body)["ready"]]
        self.assertEqual((status, names), (200, ["broker", "store", "connection", "pool", "intake"]))
        path, token = "/api/v1/services/default/hello", "Bearer T-cid"
        answer = await self.ask(worker, "POST", f"{path}?wait=10", b"\0\xff", Authorization=token)
        self.assertEqual((answer[0], answer[2]), (200, b"hello \0\xff"))
        answer = await self.ask(worker, "POST", path, b"x", Authorization=token)
        self.assertEqual((answer[0], json.loads(answer[2])["offers"]), (202, 1))
        self.assertEqual((await self.ask(worker, "POST", path, b"x"))[0], 401)
        where = answer[1]["Location"]
        reply = await self.ask(worker, "GET", f"{where}/reply?wait=10", Authorization=token)
        self.assertEqual((reply[0], reply[2]), (200, b"hello x"))
        progress = await self.ask(worker, "GET", where, Authorization=token)
        self.assertEqual(json.loads(progress[2])["state"], "done")

    async def test_taken_port(self) -> None:
        """Of two processes with the same port, the second says that it has none, works, and takes it over."""
        section = self.http(free_endpoint())
        first = await self.start_worker(self.worker_config(more=section))
        second = await self.start_worker(self.worker_config(embedded=False, more=section))
        self.assertIn("another process serves tcp://127.0.0.1:", second.output)
        first.send_signal(signal.SIGKILL)
        await first.ended
        await second.until("HTTP ready")
        status, _, body = await self.ask(second, "GET", "/readyz")
        self.assertEqual((status, body.split(b":")[0]), (503, b"connection"))

    async def test_passwords(self) -> None:
        """Users of PLAIN log in with their password and get the rights of their role; reading streams needs a login."""
        self.config("passwords", "eve=secret\n")
        config = self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n    security\n        mechanism = plain\n'
            f"server\n    auth\n        plain = passwords\n{self.http()}",
        )
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("HTTP ready")
        kind = {"Content_Type": "application/json"}
        wrong = await self.ask(broker, "POST", "/api/v1/session", b'{"user": "eve", "password": "x"}', **kind)
        right = await self.ask(broker, "POST", "/api/v1/session", b'{"user": "eve", "password": "secret"}', **kind)
        self.assertEqual((wrong[0], right[0], json.loads(right[2])["role"]), (401, 200, "send"))
        cookie = right[1]["Set-Cookie"].partition(";")[0]
        path = "/api/v1/mailboxes/a"
        self.assertEqual((await self.ask(broker, "POST", path, b"x", Cookie=cookie))[0], 403)
        answer = await self.ask(broker, "POST", path, b"x", Cookie=cookie, Sec_Fetch_Site="same-origin")
        self.assertEqual(answer[0], 202)
        self.assertEqual((await self.ask(broker, "GET", "/api/v1/streams/s"))[0], 403)
        self.assertNotIn("secret", broker.output)
        self.assertEqual(
            json.loads((await self.ask(broker, "GET", "/api/v1/session", Cookie=cookie))[2])["user"], "eve"
        )
        self.config("passwords", "eve=other\n")
        broker.send_signal(signal.SIGHUP)
        await broker.until("the password of eve has changed")
        self.assertEqual(json.loads((await self.ask(broker, "GET", "/api/v1/session", Cookie=cookie))[2])["user"], "")
        self.assertEqual(
            (await self.ask(broker, "POST", path, b"x", Cookie=cookie, Sec_Fetch_Site="same-origin"))[0], 401
        )

    async def test_access_rules(self) -> None:
        """The access rules of the broker hold for users of HTTP, and what they refuse is counted and logged."""
        config = self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n'
            f'    access\n        user = "cid"\n            send = "a/%u"\n{self.http()}',
        )
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("HTTP ready")
        expected = {"mailboxes/a%2Fcid": 202, "mailboxes/a%2Fann": 403, "services/s/x": 403, "streams/s": 403}
        for path, status in expected.items():
            answer = await self.ask(broker, "POST", f"/api/v1/{path}", b"x", Authorization="Bearer T-cid")
            self.assertEqual(answer[0], status, path)
        await broker.until("the access rules have refused")
        answer = await self.ask(broker, "POST", "/api/v1/mailboxes/a%2Fann", b"x", Authorization="Bearer T-ann")
        self.assertEqual(answer[0], 403)
        self.assertEqual((await self.ask(broker, "GET", "/api/v1/queues", Authorization="Bearer T-ann"))[0], 403)
        metrics = (await self.ask(broker, "GET", "/metrics"))[2]
        self.assertIn(b'alaska_broker_commands_refused_total{reason="access"} 5.0', metrics)

    async def test_reply_address(self) -> None:
        """With access rules, nobody can take over the address that gets the replies to requests by HTTP."""
        config = self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n    access\n        user = "anonymous"\n'
            f'            open = ".*"\n            admin = "view"\n{self.http()}',
        )
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("HTTP ready")
        await broker.until("Broker ready")
        addresses: list[str] = []
        while not addresses:
            clients = json.loads((await self.ask(broker, "GET", "/api/v1/clients"))[2])["items"]
            addresses = [client["address"] for client in clients if client["address"]]
        with self.assertRaises(Refused):
            await self.client(addresses[0])

    async def test_public(self) -> None:
        """A program that other machines could ask without a token does not start, and says why."""
        for name in ("malamute", "alaska"):
            config = self.config("public.cfg", "http\n    endpoint = 'tcp://*:0'\n")
            program = self.twistd("-n", name, "--config", str(config))
            self.assertEqual(await program.ended, 78)
            self.assertIn("http/tokens", program.output)
