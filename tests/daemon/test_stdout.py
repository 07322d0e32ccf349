"""Non-blocking output to pipes, files and terminals."""

from __future__ import annotations

import io
import os
import pty
import termios
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.daemon.stdout import Output, output_of

LINE = "x" * 99 + "\n"


class PipeTests(SynchronousTestCase):
    """Output to a pipe."""

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.addCleanup(os.close, self.reading)
        self.addCleanup(self.close)
        self.dropped: list[int] = []

    def close(self) -> None:
        """Close the writing end, if it is open."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def output(self, encoding: str = "utf-8", most: int = 300_000) -> Output:
        """Return an output to the pipe."""
        return Output(self.writing, encoding, most, self.dropped.append)

    def read(self) -> bytes:
        """Return what can be read now."""
        octets = b""
        try:
            while piece := os.read(self.reading, 1 << 20):
                octets += piece
        except BlockingIOError:
            pass
        return octets

    def test_at_a_flush(self) -> None:
        """Texts are written at the next flush, in order."""
        output = self.output()
        output.write("a\n")
        output.write_octets(b"\xff\n")
        self.assertEqual(self.read(), b"")
        output.flush()
        self.assertEqual((self.read(), output.is_blocked), (b"a\n\xff\n", False))

    def test_encoding(self) -> None:
        """Characters that the encoding does not have are escaped."""
        output = self.output("ascii")
        output.write("\u00fc \U0001f600 \udc80\n")
        output.flush()
        self.assertEqual(self.read(), b"\\xfc \\U0001f600 \\udc80\n")

    def test_unread(self) -> None:
        """Output to a pipe that nobody reads does not block; it is buffered and written later, in order."""
        output = self.output()
        for _ in range(2000):
            output.write(LINE)
            output.flush()
        self.assertTrue(output.is_blocked)
        octets = b""
        while output.is_blocked:
            octets += self.read()
            output.flush()
        self.assertEqual(octets + self.read(), LINE.encode() * 2000)
        self.assertEqual(self.dropped, [])

    def test_dropped(self) -> None:
        """Lines beyond the limit of the buffer are dropped, and their number is reported when the buffer is written."""
        output = self.output(most=100_000)
        for _ in range(5000):
            output.write(LINE)
            output.flush()
        self.assertEqual(self.dropped, [])
        octets = b""
        while output.is_blocked:
            octets += self.read()
            output.flush()
        octets += self.read()
        (dropped,) = self.dropped
        self.assertEqual(octets, LINE.encode() * (5000 - dropped))
        output.flush()
        self.assertEqual(self.dropped, [dropped])

    def test_closed(self) -> None:
        """Output to a closed pipe is dropped without an error."""
        for end in (self.reading, self.writing):
            reading, writing = os.pipe()
            output = Output(writing)
            os.close(reading if end == self.reading else writing)
            output.write(LINE)
            output.flush()
            output.finish()
            self.assertFalse(output.is_blocked)
            os.close(writing if end == self.reading else reading)

    def test_finish(self) -> None:
        """``finish`` writes the buffer."""
        output = self.output()
        output.write(LINE)
        output.finish()
        self.assertEqual(self.read(), LINE.encode())


class OtherTests(SynchronousTestCase):
    """Output to other descriptors."""

    def test_file(self) -> None:
        """Output to a file is never blocked."""
        path = Path(self.mktemp())
        with path.open("wb") as file:
            output = Output(file.fileno())
            output.write(LINE * 10_000)
            output.flush()
            self.assertFalse(output.is_blocked)
        self.assertEqual(path.stat().st_size, 1_000_000)

    def test_stopped_terminal(self) -> None:
        """Output to a stopped terminal does not block, and the descriptor of other processes stays blocking."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        termios.tcflow(slave, termios.TCOOFF)
        output = Output(slave)
        output.write(LINE * 100)
        output.flush()
        self.assertTrue(output.is_blocked)
        self.assertTrue(os.get_blocking(slave))
        termios.tcflow(slave, termios.TCOON)
        octets = b""
        while output.is_blocked:
            output.flush()
            octets += os.read(master, 1 << 16)
        self.assertIn(b"x" * 99, octets)

    def test_stream(self) -> None:
        """Each stream has one output; a stream without a descriptor is returned itself."""
        text = io.StringIO()
        self.assertIs(output_of(text), text)
        with Path(self.mktemp()).open("w", encoding="ascii") as file:
            output = output_of(file)
            assert isinstance(output, Output)
            self.assertIs(output_of(file), output)
