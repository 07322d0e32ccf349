"""A program with the page, for tests in a browser: a real worker with an embedded broker, and what it is asked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, quote_from_bytes

from tests import PROJECT
from tests.ports import free_endpoint

SECONDS = 20.0
READY = re.compile(r"HTTP ready \(tcp://127\.0\.0\.1:([0-9]+)\)")
SCRIPTS = {
    "hello": 'return "Hello, " .. alaskaContext',
    "fail": "local order = nil\nreturn order.id",
    "broken": "this is no Lua",
    "unborn": "return 1 +",
    "slow": "alaska.progress(0.4, 'step 4')\nreturn alaska.request('default', 'never', '', 90)",
}
LIMITS = 'mlm_server\n    service\n        limit = "default subject=^never$ rate=1/h"\n'
"""The first request with the subject ``never`` fails; who waits for another one waits."""
TOKENS = {"ann": "all", "dan": "operate", "sue": "send", "bob": "view"}


class Site:
    """A program that runs until it is closed; ``anonymous``: everybody on this machine may look."""

    def __init__(self, anonymous: bool = True, scripts: dict[str, str] | None = None, hosts: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="alaska-page-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        (folder / "services").mkdir()
        for name, source in (SCRIPTS if scripts is None else scripts).items():
            (folder / "services" / f"{name}.lua").write_text(source, encoding="utf-8")
        lines = [f"{user} {role} {hashlib.sha256(f'T-{user}'.encode()).hexdigest()}\n" for user, role in TOKENS.items()]
        (folder / "tokens").write_text("".join(lines), encoding="utf-8")
        self.endpoint = free_endpoint()
        (folder / "alaska.cfg").write_text(
            f'worker\n    pool\n        size = "3"\n    scripts\n        timeout = "100000"\n'
            f'    broker\n        endpoint = "{self.endpoint}"\n        embedded = "1"\n        store = "broker.db"\n'
            f'        config = "broker.cfg"\n'
            f'http\n    endpoint = "tcp://127.0.0.1:0"\n    tokens = "tokens"\n    anonymous = "{int(anonymous)}"\n'
            f'    hosts = "{hosts}"\n',
            encoding="utf-8",
        )
        (folder / "broker.cfg").write_text(LIMITS, encoding="utf-8")
        self._log = folder / "log"
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start the program, at the port that it has had."""
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
        environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"}
        if self.port:
            environment["ALASKA_HTTP_ENDPOINT"] = f"tcp://127.0.0.1:{self.port}"
        with self._log.open("wb") as log:
            self._program = subprocess.Popen(
                [*command, "alaska", "--config", "alaska.cfg"], cwd=self._folder.name, stdout=log, stderr=log,
                env=environment,
            )  # fmt: skip
        self.port = self._started()

    def _started(self) -> int:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self._program.poll() is None:
            output = self._log.read_text(encoding="utf-8", errors="replace")
            found = READY.findall(output)
            if found and "Alaska worker ready" in output:
                return int(found[-1])
            time.sleep(0.05)
        raise AssertionError(self._log.read_text(encoding="utf-8", errors="replace"))

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, method: str, path: str, body: bytes = b"", user: str = "ann", **headers: str) -> Any:
        """Ask the API, and return the answer, decoded if it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Authorization": f"Bearer T-{user}", **named})
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status < 400, (path, content)
        return json.loads(content) if "json" in answer.headers.get("content-type", "") else content

    def request(self, subject: str, content: bytes = b"x", service: str = "default", wait: int = 0) -> Any:
        """Send a request."""
        with contextlib.suppress(AssertionError):  # the script fails
            return self.ask("POST", f"/api/v1/services/{quote(service)}/{quote(subject)}?wait={wait}", content)

    def request_octets(self, service: str, subject: bytes) -> None:
        """Send a request whose subject may be any octets, and wait until it has ended."""
        path = quote_from_bytes(subject, safe="").replace(".", "%2E")
        with contextlib.suppress(AssertionError):  # there is no such script
            self.ask("POST", f"/api/v1/services/{service}/{path}?wait=5", subject)

    def fill(self) -> None:
        """Make something for each view to show."""
        self.request("never", wait=5)
        for number in range(3):
            self.request("hello", b'{"n": 12345678901234567890}', wait=5)
            self.request("fail", b'{"order": %d}' % number, wait=5)
            self.request("page", b"<b>%d</b>" % number, service="render")
        self.request("broken", wait=5)
        self.request("slow")
        for number in range(3):
            self.ask("POST", "/api/v1/mailboxes/reports?subject=daily", b"\x00\xff binary %d" % number)
        self.ask("POST", "/api/v1/schedules", json.dumps(
            {"name": "nightly", "cron": "0 3 * * *", "service": "default", "subject": "hello"}).encode())  # fmt: skip

    def close(self) -> None:
        """End the program, and forget what it has kept."""
        self.end()
        self._folder.cleanup()

    def end(self) -> None:
        """End the program."""
        self._program.terminate()
        try:
            self._program.wait(10)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()


class Prefix:
    """A reverse proxy that has a site below ``/tools/alaska/``, and passes each part of an answer on at once.

    It holds back what is answered at the path ``held``, until it has all of it. The browser knows it by the name
    ``host``; unless it ``keeps_host``, it asks with a Host of the site, as nginx does by default. It says for whom it
    asks, as proxies do, if it has a name of its own.
    """

    PATH = "/tools/alaska/"

    def __init__(self, site: Site, held: str = "", host: str = "127.0.0.1", keeps_host: bool = True) -> None:
        class Passing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                self.do_GET()

            def do_DELETE(self) -> None:  # the library's name
                self.do_GET()

            def do_GET(self) -> None:  # the library's name
                if not self.path.startswith(Prefix.PATH):
                    self.send_error(404)
                    return
                connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=SECONDS)
                headers = dict(self.headers)
                if not keeps_host:
                    headers["Host"] = f"127.0.0.1:{site.port}"
                if host != "127.0.0.1":
                    headers["X-Forwarded-For"] = "192.0.2.1"
                body = self.rfile.read(int(headers.get("Content-Length", 0)))
                connection.request(self.command, "/" + self.path.removeprefix(Prefix.PATH), body, headers)
                answer = connection.getresponse()
                if held and held in self.path:
                    with contextlib.suppress(OSError):  # it takes too long
                        answer.read()
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while part := answer.read1(65_536):
                        self.wfile.write(part)
                        self.wfile.flush()
                connection.close()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://{host}:{self._server.server_address[1]}{self.PATH}"

    def close(self) -> None:
        """End the proxy."""
        self._server.shutdown()
        self._server.server_close()
