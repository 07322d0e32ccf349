"""``alas letters``, with a broker in memory."""

from __future__ import annotations

import io
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred, succeed

from alaska.broker.queues import Queues
from alaska.commands import admin_client, letter_edit, letters
from alaska.commands.letter_selection import rate
from alaska.message import Cause, DeadLetter, LastWorker, Message, QueueKind, QueueName
from tests.commands.asking_case import AskingCase

WORKER = LastWorker(b"AW::box::7", b"box", 7)


class LettersCase(AskingCase):
    """A broker with dead letters."""

    def setUp(self) -> None:
        super().setUp()
        self.add(1, b"a", b'{"n": 1}')
        self.add(2, b"b", b"two\nlines", cause=Cause.NOT_FOUND, status=404, reason=b"no such script")
        self.add(3, b"a", b"\xff\x00", b"second")
        self.queues._position = 3
        self.output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self.errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")

    def add(
        self, position: int, subject: bytes, *content: bytes, status: int = 502, cause: Cause = Cause.FAILED,
        reason: bytes = b"oh no\nwhere",
    ) -> None:  # fmt: skip
        """Add a dead letter."""
        queue = QueueName(QueueKind.SERVICE, b"svc")
        message = Message(position, queue, b"p", subject, b"", content, attempts=1, since=1_800_000_000_000)
        self.queues.dead_letters.add(DeadLetter(message, status, reason, self.wall - position, cause, WORKER))

    def call(self, command: click.Command, *arguments: str) -> str:
        """Run a command, and return all that it prints to the standard output."""
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)
        before = self.output.buffer.tell()
        answer = self.alas(command, *arguments)
        self.output.buffer.seek(before)
        return f"{self.output.buffer.read().decode()}{answer}"

    def waiting(self) -> list[Message]:
        """Return the requests that wait for the service."""
        names = (QueueName(QueueKind.SERVICE, address) for address in (b"svc", b"other"))
        store = self.queues._store
        for name in names:
            if (queue := self.queues.table.get(name)) is not None:
                for part in queue.parts:
                    part.leave_in_store()
        return [
            message
            for address in (b"svc", b"other")
            for message in store.waiting(QueueName(QueueKind.SERVICE, address), 0, 10)
        ]

    def left(self) -> list[int]:
        """Return the positions of the dead letters."""
        return [letter.message.position for letter in self.queues.dead_letters]


class ShowTests(LettersCase):
    """What is shown."""

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what the list has in JSON."""
        return [json.loads(line) for line in self.call(letters.show_list, "--json", *arguments).splitlines()]

    def test_table(self) -> None:
        """Dead letters are a table, with the first line of each reason."""
        lines = self.call(letters.show_list).split("\n")
        self.assertEqual(lines[0].split(), list(letters_header()))
        self.assertEqual([line.split()[0] for line in lines[1:] if line], ["1", "2", "3"])
        self.assertIn("not_found", lines[2])
        self.assertTrue(lines[1].endswith("AW::box::7  oh no"), lines[1])

    def test_json(self) -> None:
        """As JSON, each is an object on a line, whatever the number of pages is."""
        self.patch(admin_client, "PAGE_ITEMS", 2)
        found = self.listed("--newest")
        self.assertEqual([each["position"] for each in found], [3, 2, 1])
        self.assertEqual(found[0]["worker"], {"address": "AW::box::7", "host": "box", "pid": 7})
        self.assertEqual(self.listed("--service", "none"), [])

    def test_selected(self) -> None:
        """They are selected by the options, and limited."""
        found = self.listed("--subject", "a", "--reason-pattern", "^oh")
        self.assertEqual([each["position"] for each in found], [1, 3])
        self.assertEqual(len(self.listed("-n", "2")), 2)
        self.assertEqual(len(self.listed("--older", "2s")), 2)

    def test_exported(self) -> None:
        """They are exported with their content."""
        found = [json.loads(line) for line in self.call(letters.export, "--subject", "a").splitlines()]
        self.assertEqual([each["letter"]["position"] for each in found], [1, 3])
        self.assertEqual(found[0]["content"], ["eyJuIjogMX0="])

    def test_one(self) -> None:
        """One is shown with everything that is known of it, and its frames as text, or in base64."""
        text = self.call(letters.show, "2")
        self.assertIn("cause: not_found\nstatus: 404\nattempts: 1\nworker: AW::box::7 (process 7 on box)", text)
        self.assertIn("content, frame 1 of 1:\n  two\n  lines", text)
        self.assertIn("(base64) /wA=", self.call(letters.show, "3"))
        self.assertEqual(self.fails(letters.show, "9"), "1: there is no dead letter 9")


class ResendTests(LettersCase):
    """Dead letters that are sent again."""

    def test_all_that_match(self) -> None:
        """All that match are sent again, and no others."""
        self.assertEqual(self.call(letters.resend, "--subject", "a"), "dead letters resent: 2")
        self.assertEqual([each.subject for each in self.waiting()], [b"a", b"a"])
        self.assertEqual(self.left(), [2])
        none = "dead letters resent: 0; no dead letter matches"
        self.assertEqual(self.call(letters.resend, "--subject", "a"), none)

    def test_rate(self) -> None:
        """With a rate, there are no more of them a second; the progress is shown."""
        answers: list[str] = []
        times: list[float] = []
        replay = self.queues.replay_dead_letter

        def timed(_queues: Queues, *arguments: Any) -> Deferred[bool]:
            times.append(self.clock.seconds())
            return replay(*arguments)

        self.patch(Queues, "replay_dead_letter", timed)
        answers.append(self.call(letters.resend, "--all", "--rate", "1/s"))
        self.assertEqual(answers, ["dead letters resent: 3"])
        self.assertGreaterEqual(min(after - before for before, after in pairwise(times)), 1.0)
        self.assertIn("2 of 3 resent", self.errors.buffer.getvalue().decode())

    def test_dropped(self) -> None:
        """Some are dropped by their numbers or by what they have."""
        self.assertEqual(self.call(letters.drop, "1", "--json"), '{"dropped":1}')
        self.assertEqual(self.call(letters.drop, "--cause", "not_found"), "dead letters dropped: 1")
        self.assertEqual(self.left(), [3])

    def test_no_room(self) -> None:
        """If there is no room for one, the rest stays."""
        self.broker.queues._room.most_queues = 0
        self.patch(self.queues._admission, "_admits_new", lambda _queue: False)
        self.assertIn("no room", self.fails(letters.resend, "--all"))
        self.assertEqual(len(self.left()), 3)

    def test_changed(self) -> None:
        """With a number, subject, service and content may be others."""
        path = Path(self.mktemp())
        path.write_bytes(b'{"n": 2}')
        options = ("--subject", "c", "--service", "other", "--content", str(path))
        self.assertEqual(self.call(letters.resend, "1", *options), "dead letters resent: 1")
        (message,) = self.waiting()
        self.assertEqual((message.queue.address, message.subject, message.content), (b"other", b"c", (b'{"n": 2}',)))

    def test_no_json(self) -> None:
        """What was JSON must stay JSON; else nothing is sent."""
        path = Path(self.mktemp())
        path.write_bytes(b"{")
        self.assertIn("not JSON, as the old one was", self.fails(letters.resend, "1", "--content", str(path)))
        self.assertEqual(self.left(), [1, 2, 3])
        self.assertIn("cannot be read", self.fails(letters.resend, "1", "--content", f"{path}x"))

    def test_arguments(self) -> None:
        """A command line that names no dead letters, or too many ways, is refused."""
        self.assertIn("expected numbers", self.refused(letters.resend))
        self.assertIn("expected numbers", self.refused(letters.drop, "--all", "--subject", "a"))
        self.assertIn("cannot both be given", self.refused(letters.drop, "1", "--cause", "failed"))
        self.assertIn("cannot both be given", self.refused(letters.drop, "1", "--service", "other"))
        self.assertIn("one dead letter", self.refused(letters.resend, "--all", "--edit"))
        self.assertIn("expected the number of a dead letter", self.refused(letters.show, "-1x"[1:]))
        self.assertIn("did you mean list?", self.refused(letters.letters, "lst"))
        self.assertIn("expected one of list, show", self.refused(letters.letters))

    def test_rates(self) -> None:
        """Rates are per second, minute or hour."""
        self.assertEqual((rate("50/s"), rate("30/m"), rate("5"), rate("36/h")), (50.0, 0.5, 5.0, 0.01))
        for text in ("", "0", "x/s", "1/d", "-1"):
            self.assertRaises(ValueError, rate, text)


class EditTests(LettersCase):
    """The content in an editor."""

    def edit(self, new: bytes | None, status: int = 0) -> click.Command:
        """Return the command that resends, with an editor that writes this content."""

        def edited(path: Path) -> Deferred[int]:
            self.edited = path
            self.seen = path.read_bytes()
            if new is not None:
                path.write_bytes(new)
            return succeed(status)

        self.patch(letter_edit, "with_editor", edited)
        return letters.resend

    def test_edited(self) -> None:
        """The editor gets the content, and what it leaves is sent; the file is gone then."""
        self.assertEqual(self.call(self.edit(b"{}"), "1", "--edit"), "dead letters resent: 1")
        self.assertEqual(self.seen, b'{"n": 1}')
        self.assertEqual(self.waiting()[0].content, (b"{}",))
        self.assertFalse(self.edited.exists())

    def test_not_changed(self) -> None:
        """If nothing was changed, or the editor fails, nothing is sent."""
        self.assertIn("was not changed", self.fails(self.edit(None), "1", "--edit"))
        self.assertIn("has ended with status 3", self.fails(self.edit(b"{}", status=3), "1", "--edit"))
        self.edited.unlink()
        self.assertEqual(self.left(), [1, 2, 3])

    def test_not_valid(self) -> None:
        """What is not valid is kept in the file."""
        error = self.fails(self.edit(b"{"), "1", "--edit")
        self.assertIn(f"it is kept in {self.edited}", error)
        self.assertEqual(self.edited.read_bytes(), b"{")
        self.edited.unlink()

    def test_frames(self) -> None:
        """Content of several frames is not edited."""
        self.assertIn("has 2 frames", self.fails(self.edit(b""), "3", "--edit"))

    def test_too_large(self) -> None:
        """New content has a limit."""
        self.patch(letter_edit, "MOST_OCTETS", 10)
        self.assertIn("more than 10 octets", self.fails(self.edit(b"x" * 11), "2", "--edit"))
        self.edited.unlink()


def letters_header() -> tuple[str, ...]:
    """Return the header of the table."""
    return ("N", "DIED", "QUEUE", "SUBJECT", "CAUSE", "STATUS", "ATTEMPTS", "OCTETS", "WORKER", "REASON")
