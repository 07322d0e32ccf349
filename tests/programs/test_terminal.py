"""``alas`` on a terminal: keys, the screen of ``alas top``, questions, and Ctrl-C."""

from __future__ import annotations

import signal

from tests.programs.system_case import Program, SystemTestCase, until

LEFT = "\x1b[?1049l"
"""What leaves the alternate screen."""


class TerminalTests(SystemTestCase):
    """A worker with an embedded broker, and commands on a terminal."""

    def type(self, *arguments: str, **environ: str) -> Program:
        """Run alas on a terminal of 80 columns and 24 lines."""
        set_environment = "import os; os.environ.update({'TERM': 'xterm-256color', 'COLUMNS': '80', 'LINES': '24'})"
        code = f"{set_environment}; os.environ.update({environ!r}); from alaska.commands.alas import main; main()"
        return self.run_program("-c", code, *arguments, "-e", self.endpoint, on_terminal=True)

    async def ask(self, *arguments: str, stdin: bytes = b"{}") -> Program:
        """Run alas without a terminal, and wait for its end."""
        program = self.run_program("-m", "alaska.commands.alas", *arguments, "-e", self.endpoint, stdin=stdin)
        await program.ended
        return program

    def press(self, program: Program, keys: bytes) -> None:
        """Press keys."""
        assert program.transport is not None
        program.transport.write(keys)

    async def test_top_ends(self) -> None:
        """``alas top`` ends with q and Ctrl-C with status 0, and with SIGTERM; the terminal is as before."""
        await self.start_worker(self.worker_config())
        for keys, status in ((b"q", 0), (b"\x03", 0), (None, 130)):
            top = self.type("top")
            await top.until("RUNS NOW")
            if keys is None:
                top.send_signal(signal.SIGTERM)
            else:
                self.press(top, keys)
            self.assertEqual(await top.ended, status)
            self.assertIn(LEFT, top.output)

    async def test_top_waits(self) -> None:
        """``alas top`` says that the broker is away, and goes on when it is back."""
        config = self.worker_config()
        worker = await self.start_worker(config)
        top = self.type("top", "-d", "0.2s")
        await top.until("RUNS NOW")
        worker.send_signal(signal.SIGKILL)
        await top.until("trying again")
        await self.start_worker(config)

        def is_shown() -> bool:
            screen = top.output.rpartition("\x1b[H")[2]
            return "RUNS NOW" in screen and "trying again" not in screen

        await until(is_shown)
        self.press(top, b"q")
        self.assertEqual(await top.ended, 0)

    async def test_question(self) -> None:
        """What deletes messages asks first; without yes, nothing is deleted, and with --yes, nothing is asked."""
        await self.start_worker(self.worker_config())
        await self.alas("-a", "nobody")
        for answer, status, waiting in (("n", 1, 1), ("", 1, 1), ("\x04", 130, 1), ("y", 0, 0)):
            purge = self.type("purge", "service", "nobody")
            await purge.until("[y/N]: ")
            self.press(purge, f"{answer}\r".encode() if answer != "\x04" else b"\x04")
            self.assertEqual(await purge.ended, status, purge.output)
            found = (await self.ask("services", "nobody", "--json")).output
            self.assertEqual(found.count('"waiting":1'), waiting, found)
        await self.alas("-a", "nobody")
        purge = self.type("purge", "service", "nobody", "--yes")
        self.assertEqual(await purge.ended, 0)
        self.assertNotIn("[y/N]", purge.output)

    async def test_no_question(self) -> None:
        """Without a terminal, nothing is asked."""
        await self.start_worker(self.worker_config())
        await self.alas("-a", "nobody")
        done = await self.ask("purge", "service", "nobody")
        self.assertEqual((done.status, "1 deleted" in done.output), (0, True))

    async def test_followed_until_interrupted(self) -> None:
        """``alas inbox --follow`` and ``alas tail`` print what arrives, and end quietly with Ctrl-C."""
        await self.start_worker(self.worker_config())
        inbox, tail = self.type("inbox", "box", "--follow"), self.type("tail", "numbers")
        for sent, program in ((("mail", "box", "s"), inbox), (("publish", "numbers", "s"), tail)):

            async def is_printed(sent: tuple[str, ...] = sent, program: Program = program) -> None:
                while "word" not in program.output:
                    await self.ask(*sent, stdin=b"word")

            await is_printed()
            self.press(program, b"\x03")
            await program.ended
            self.assertNotIn("Traceback", program.output)

    async def test_sending_interrupted(self) -> None:
        """``alas send --lines`` shows the cursor again when it is interrupted, and says what it has done."""
        await self.start_worker(self.worker_config())
        (self.folder / "lines").write_text("x\n" * 100_000)
        send = self.type("send", "--lines", "lines", "--rate", "20/s")
        await send.until("confirmed")
        self.press(send, b"\x03")
        self.assertEqual(await send.ended, 130)
        self.assertTrue(send.output.rindex("\x1b[?25h") > send.output.rindex("\x1b[?25l"))
        self.assertIn("taken by the broker, 0 failed", send.output)

    async def test_colors(self) -> None:
        """Tables have no colours with NO_COLOR, and are plain lines on a terminal without abilities."""
        await self.start_worker(self.worker_config())
        for environ, is_drawn in (({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)):
            services = self.type("services", COLUMNS="120", **environ)
            await services.ended
            self.assertEqual("\x1b[1m" in services.output, is_drawn, services.output)
            self.assertNotIn("\x1b[3", services.output)
