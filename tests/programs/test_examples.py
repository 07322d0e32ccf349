"""The examples for other programs, as a reader would run them."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests import PROJECT
from tests.ports import free_endpoint
from tests.programs.http_case import READY, HTTPCase
from tests.programs.system_case import Program, SystemTestCase

EXAMPLES = PROJECT / "examples"
DEMO = """import os, sys
os.environ.update(ALASKA_WORKER_BROKER_ENDPOINT=sys.argv[2], ALASKA_ENDPOINT=sys.argv[2], ALASKA_USERNAME="ann")
os.execv("/bin/sh", ["sh", "examples/demo.sh", sys.argv[1]])
"""
"""Starts the demonstration in the working directory, with variables of a system that the user has already."""
NO_NODE = "there is no Node.js (Debian package nodejs), which these examples need"


class ExampleCase(HTTPCase):
    """A broker that serves HTTP and keeps the records of streams, and a worker with the script hello."""

    timeout = 60

    async def start_system(self) -> Program:
        """Start a broker, and a worker; return the broker, which serves HTTP."""
        self.script("hello", "alaska.progress(0.5, 'half'); return 'hello ' .. alaskaContext")
        bind = f'    bind\n        endpoint = "{self.endpoint}"\n'
        retain = '    stream\n        retain\n            count = "100"\n'
        broker = self.twistd(
            "-n", "malamute", "--config", str(self.config("m.cfg", f"mlm_server\n{bind}{retain}{self.http()}"))
        )
        await broker.until("HTTP ready")
        worker = self.twistd("-n", "--pidfile=", "alaska", "--config", str(self.worker_config(embedded=False)))
        await worker.until("Alaska worker ready")
        return broker

    async def example(self, name: str, *arguments: str, stdin: bytes | None = None) -> str:
        """Return what an example prints."""
        program = self.run_program(str(EXAMPLES / name), *arguments, stdin=stdin)
        self.assertEqual(await program.ended, 0, program.output)
        return program.output

    async def run_node(self, name: str, *arguments: str, token: str = "T-cid") -> tuple[int, str]:
        """Return the exit status of an example for Node.js, and what it prints."""
        node = shutil.which("node") or shutil.which("nodejs")
        if node is None:
            raise SkipTest(NO_NODE)
        code = "import os, sys; os.environ['TOKEN'] = sys.argv[1]; os.execv(sys.argv[2], sys.argv[2:])"
        program = self.run_program("-c", code, token, node, str(EXAMPLES / "node" / name), *arguments)
        return await program.ended, program.output


class PythonTests(ExampleCase):
    """Examples in Python."""

    async def test_asyncio(self) -> None:
        """A request is answered by a script and by a function; a failure is one line and status 1."""
        await self.start_system()
        answer = await self.example("asyncio_request.py", self.endpoint, "default", "hello", "world")
        self.assertEqual(answer, "50% half\nhello world\n")
        worker = self.run_program(str(EXAMPLES / "asyncio_worker.py"), self.endpoint)
        await worker.until("serving words")
        answer = await self.example("asyncio_request.py", self.endpoint, "words", "count", "how many words")
        self.assertEqual(answer, '{"words":3}\n')
        answer = await self.example("asyncio_request.py", self.endpoint, "words", "longest", "a longer one")
        self.assertEqual(answer, "50% sorting\nlonger\n")
        failing = self.run_program(str(EXAMPLES / "asyncio_request.py"), self.endpoint, "words", "count", "")
        self.assertEqual((await failing.ended, failing.output), (1, "no answer: there is nothing to count\n"))
        worker.send_signal(signal.SIGINT)
        self.assertEqual(await worker.ended, 0, worker.output)

    async def test_no_arguments(self) -> None:
        """Without arguments, each says how it is used."""
        for path in sorted(EXAMPLES.glob("*.py")):
            program = self.run_program(str(path))
            self.assertEqual(await program.ended, 1, path.name)
            self.assertRegex(program.output.splitlines()[0], rf": {path.name} \S.*\.$")

    async def test_tail(self) -> None:
        """A durable reader goes on where it has stopped."""
        await self.start_system()
        client = await self.client("")
        for number in range(4):
            client.publish("news", "sport", str(number))
        await client.flush()
        first = await self.example("asyncio_tail.py", self.endpoint, "news", "me", "2")
        second = await self.example("asyncio_tail.py", self.endpoint, "news", "me", "2")
        self.assertEqual((first, second), ("1 sport 0\n2 sport 1\n", "3 sport 2\n4 sport 3\n"))

    async def test_blocking(self) -> None:
        """Several threads ask, and mail is sent and read by scripts."""
        await self.start_system()
        answers = await self.example("blocking_request.py", self.endpoint, "default", "hello", "a", "b", "c")
        self.assertEqual(answers, "hello a\nhello b\nhello c\n")
        await self.example("blocking_mail.py", self.endpoint, "send", "box", stdin=b"one\ntwo\none\n")
        self.assertEqual(await self.example("blocking_mail.py", self.endpoint, "read", "box"), "line one\nline two\n")
        self.assertEqual(await self.example("blocking_mail.py", self.endpoint, "read", "box"), "")


class DemoTests(SystemTestCase):
    """The demonstration of ``make demo``."""

    async def test_beside_another_system(self) -> None:
        """It uses no endpoint, login or store of the user's own system, whatever the settings and variables say."""
        self.services.rmdir()
        for name in ("examples", "services"):
            (self.folder / name).symlink_to(PROJECT / name)
        self.config(
            "alaska.cfg", 'worker\n    broker\n        endpoint = "tcp://127.0.0.1:1"\n        embedded = "0"\n'
        )
        demo = self.run_program("-c", DEMO, str(Path(sys.executable).parent), endpoint := free_endpoint())
        self.assertEqual(await demo.ended, 0, demo.output)
        self.assertNotIn(endpoint, demo.output)
        self.assertIn("== result of pi, from the mailbox aw.res.pi ==\n", demo.output)


class NodeTests(ExampleCase):
    """Examples in JavaScript, which use HTTP (docs/howto/use-http.md)."""

    async def test_request(self) -> None:
        """The answer of a script is printed; a script that does not exist is an error."""
        url = f"http://127.0.0.1:{READY.findall((await self.start_system()).output)[-1]}"
        self.assertEqual(await self.run_node("request.mjs", url, "default", "hello", "node"), (0, "hello node\n"))
        status, output = await self.run_node("request.mjs", url, "default", "nothing", "x")
        self.assertEqual((status, output.partition(":")[0]), (1, "Not Found"))

    async def test_tail(self) -> None:
        """The records of a stream are printed."""
        url = f"http://127.0.0.1:{READY.findall((await self.start_system()).output)[-1]}"
        client = await self.client("")
        for text in ("goal", "own goal"):
            client.publish("news", "sport", text)
        await client.flush()
        printed = await self.run_node("tail.mjs", url, "news", "2")
        self.assertEqual(printed, (0, "1 sport goal\n2 sport own goal\n"))


class BrowserTests(ExampleCase):
    """The page, in Chromium."""

    async def test_page(self) -> None:
        """A reader logs in, asks, and sees the records of a stream, also new ones."""
        worker = await self.start_system()
        url = f"http://127.0.0.1:{READY.findall(worker.output)[-1]}"
        client = await self.client("")
        client.publish("news", "sport", "goal")
        server = self.run_program(str(EXAMPLES / "browser_server.py"), url, "0")
        await server.until("http://")
        seen = await deferToThread(self.visit, server.output.strip())
        self.assertEqual(seen[0], "hello browser")
        self.assertIn("1 sport goal", seen[1])

    def visit(self, url: str) -> tuple[str, str]:
        """Use the page; this blocks."""
        from tests.web.browser_case import start_browser  # noqa: PLC0415  # skips without Chromium

        browser = start_browser()
        try:
            browser.get(url)
            self.submit(browser, "login", "T-cid")
            self.wait(browser, lambda: "1 sport goal" in self.text(browser, "records"))
            self.submit(browser, "ask", "browser")
            self.wait(browser, lambda: self.text(browser, "answer").startswith("hello"))
            answers = self.text(browser, "answer"), self.text(browser, "records")
            self.assertEqual(self.run_documented(browser), "200 hello world")
            return answers
        finally:
            browser.quit()

    @staticmethod
    def run_documented(browser: Any) -> str:
        """Run the JavaScript in docs/howto/use-browser.md on the page, and return what it logs first."""
        page = (PROJECT / "docs" / "howto" / "use-browser.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"^```js\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        begin = "const [token, done] = arguments; const console = { log: (...texts) => done(texts.join(' ')) };"
        return str(browser.execute_async_script(f"{begin} (async () => {{ {code} }})();", "T-cid"))

    @staticmethod
    def submit(browser: Any, form: str, value: str) -> None:
        """Fill in a form, and submit it."""
        field = browser.find_element("css selector", f"#{form} input")
        field.clear()
        field.send_keys(value)
        browser.find_element("css selector", f"#{form} button").click()

    @staticmethod
    def text(browser: Any, name: str) -> str:
        """Return the text of an element."""
        return str(browser.find_element("id", name).text)

    def wait(self, browser: Any, holds: Callable[[], bool]) -> None:
        """Wait until something is shown."""
        from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

        WebDriverWait(browser, 20).until(lambda _: holds(), self.text(browser, "answer"))
