"""The command ``alas tail``, with a broker in memory."""

from __future__ import annotations

import io
import json
import sys

import click
from twisted.internet.defer import Deferred, ensureDeferred

from alaska import errors
from alaska.commands import tail
from alaska.commands.connection import take_connection
from alaska.commands.values import position, position_or_age
from alaska.mlm import commands as mlm
from tests.client.test_readers import ReaderCase
from tests.commands.command_lines import options_of


class TailCase(ReaderCase):
    """A broker, a client that writes to the stream s, and the lines that were printed."""

    def setUp(self) -> None:
        super().setUp()
        self.lines: list[str] = []
        self.is_closed = False

    def print_line(self, line: str) -> bool:
        """Take a line, unless the output is closed."""
        if not self.is_closed:
            self.lines.append(line)
        return not self.is_closed

    def tail(self, *arguments: str) -> Deferred[tuple[int, str]]:
        """Run the command."""
        options = options_of(tail.tail, "s", *arguments)
        options["pattern"] = options.pop("match") or options["pattern"]
        connection = take_connection(options, {"XDG_CONFIG_HOME": "/nowhere"})
        command = tail.Tail(
            self.reactor, tail.Reading(**options), connection, self.print_line, self.network, self.reactor.seconds
        )
        running = ensureDeferred(command.run())
        self.pass_time(0.5)
        return running

    def printed(self) -> list[tuple[int, str]]:
        """Return the positions and the rest of the printed lines, without the times, and forget them."""
        found = [line.split(" ", 2) for line in self.lines]
        self.lines.clear()
        return [(int(position), rest) for position, _, rest in found]


class TailTests(TailCase):
    """What is printed, and how it ends."""

    def test_new_records(self) -> None:
        """Without a name, new records are printed; with --from, the stored ones as well."""
        self.write(1, 2)
        self.tail()
        self.write(3)
        self.assertEqual(self.printed(), [(3, "3")])
        self.tail("2|3", "--from", "0")
        self.assertEqual(self.printed(), [(2, "2"), (3, "3")])

    def test_age(self) -> None:
        """With an age, older records are left out."""
        self.write(1)
        self.pass_time(100.0)
        self.write(2)
        self.tail("--from", "50s")
        self.assertEqual(self.printed(), [(2, "2")])

    def test_match(self) -> None:
        """The pattern may be an option."""
        self.write(1, 2)
        self.tail("--from", "start", "--match", "2")
        self.assertEqual(self.printed(), [(2, "2")])

    def test_name(self) -> None:
        """With a name, each command prints what the one before has not printed."""
        self.write(*range(1, 6))
        for expected in ([1, 2], [3, 4]):
            outcome = self.tail("--as", "n", "--count", "2")
            self.assertEqual(self.successResultOf(outcome), (0, ""))
            self.assertEqual([position for position, _ in self.printed()], expected)
        self.assertEqual(self.position, 5)

    def test_more_than_the_credit(self) -> None:
        """More records than the broker sends ahead are printed."""
        self.patch(tail, "CREDIT", 4)
        self.tail("--as", "n")
        self.write(*range(50))
        self.pass_time(1)
        self.assertEqual(len(self.printed()), 50)

    def test_closed_output(self) -> None:
        """If the output is closed, the command ends, and what was not printed is not lost."""
        self.write(1, 2)
        self.is_closed = True
        self.assertEqual(self.successResultOf(self.tail("--as", "n")), (1, ""))
        self.assertEqual(self.position, 1)

    def test_taken_over(self) -> None:
        """If another client takes over the name, the command ends."""
        first = self.tail("--as", "n")
        self.tail("--as", "n")
        status, complaint = self.successResultOf(first)
        self.assertEqual((status, complaint), (1, "another client reads the stream as n"))

    def test_refused(self) -> None:
        """A pattern that is not valid is refused."""
        status, complaint = self.successResultOf(self.tail("(", "--as", "n"))
        self.assertEqual(status, 1)
        self.assertIn("the broker refuses", complaint)

    def test_json(self) -> None:
        """With --json, each line is an object."""
        self.tail("--json")
        self.writer.publish("s", "a b", b"x\xff", "y\n", headers={"h": "v"})
        self.pass_time(0.1)
        shown = json.loads(self.lines[0])
        del shown["time"]
        self.assertEqual(
            shown,
            {
                "position": 1,
                "sender": "writer",
                "subject": "a b",
                "headers": {"h": "v"},
                "content": ["x\\xff", "y\n"],
            },
        )

    def test_json_is_printable(self) -> None:
        """Subjects and content cannot control a terminal, in JSON either."""
        self.tail("--json")
        self.writer.publish("s", "a\x9b2J", "b\x7f\u202e", headers={"h": "\x9c"})
        self.pass_time(0.1)
        self.assertTrue(self.lines[0].isprintable())


class LossTests(TailCase):
    """What is printed of missed records."""

    retained = 2

    def test_missed(self) -> None:
        """The number of missed records is printed as an error, and the command goes on."""
        self.close(self.reader([]))
        self.write(*range(5))
        self.pass_time(2)
        output = io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stderr", output)
        self.tail("--as", "n")
        output.seek(0)
        self.assertIn("3 records of s were removed before n has read them; the first one left is 4", output.read())
        self.assertEqual(len(self.printed()), 2)


class ArgumentTests(TailCase):
    """The command line."""

    def test_position(self) -> None:
        """A position is a number or new."""
        self.assertEqual(
            [position(text) for text in ("7", "start", "now", "new")], [7, 0, mlm.LIVE_ONLY, mlm.LIVE_ONLY]
        )
        self.assertEqual(position_or_age("10m"), 600.0)
        self.assertIsInstance(position_or_age("10"), int)
        for text in ("", "-1", "old", "9" * 30):
            self.assertRaises(ValueError, position, text)

    def test_names(self) -> None:
        """An empty name is refused: a variable that is not set would read all that is new, and keep no position."""
        for arguments in (["", "x"], ["s", "--as", ""], ["s", "--as", "n" * 256]):
            error: click.UsageError = self.assertRaises(click.UsageError, options_of, tail.tail, *arguments)
            self.assertIn("a name has 1 to 255 octets", error.format_message())
        self.assertEqual(options_of(tail.tail, "s")["name"], None)

    def test_statuses(self) -> None:
        """The exit status says what was wrong."""
        statuses = [
            (errors.ConnectTimeout("x"), 69),
            (errors.Refused("x", 401), 77),
            (errors.Refused("x", 300), 1),
            (errors.BadEndpoint("x"), 2),
        ]
        self.assertEqual([tail.status_of_error(error) for error, _ in statuses], [status for _, status in statuses])
