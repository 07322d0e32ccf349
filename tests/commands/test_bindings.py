"""``alas bind``, ``unbind``, ``bindings`` and ``readers``, with a broker in memory."""

from __future__ import annotations

import json

from alaska.commands import admin_client, bindings
from tests.commands.asking_case import AskingCase


class BindingTests(AskingCase):
    """A broker whose streams store no records."""

    def test_bound(self) -> None:
        """A stream is bound, listed, bound again without effect, and unbound."""
        said = self.alas(bindings.bind, "s", "svc", "^a", "--from", "new")
        self.assertIn("s is bound to svc: the stream stores no records", said)
        header, line = self.alas(bindings.bindings).splitlines()
        self.assertEqual(header.split()[:4], ["STREAM", "PATTERN", "SERVICE", "STATE"])
        self.assertEqual(line.split(), ["s", "^a", "svc", "live", "1", "0", "0", "0", "0", "0"])
        self.assertIn("it is bound already, and goes on at position 1", self.alas(bindings.bind, "s", "svc", "^a"))
        self.assertEqual(json.loads(self.alas(bindings.bindings, "sv", "--json"))["stream"], "s")
        self.assertEqual(self.alas(bindings.unbind, "s", "svc", "^a"), "s is not bound to svc any more")
        self.assertEqual((self.alas(bindings.bindings), self.note), ("", "no stream is bound"))

    def test_refused(self) -> None:
        """What cannot be bound or unbound is refused with the reason."""
        self.assertEqual(self.fails(bindings.unbind, "s", "svc"), "1: there is no such binding")
        self.assertIn("1: the services of the broker cannot be bound", self.fails(bindings.bind, "s", "alaska.admin"))
        self.assertTrue(self.fails(bindings.bind, "s", "svc", "(").startswith("1: "))
        self.assertIn(
            "expected a position, which is a number, start or now",
            self.refused(bindings.bind, "s", "svc", "--from", "old"),
        )

    def test_pages(self) -> None:
        """All pages are listed."""
        self.patch(admin_client, "PAGE_ITEMS", 2)
        for number in range(5):
            self.alas(bindings.bind, f"s{number}", "svc")
        self.assertEqual(len(self.alas(bindings.bindings).splitlines()), 6)


class ReaderTests(AskingCase):
    """A broker with a durable reader."""

    def test_listed_and_deleted(self) -> None:
        """A durable reader is listed while it is read and later, and can be deleted when nobody has it."""
        client = self.client("me", lambda _: None)
        client.consume("s", "^a", name="n")
        self.run_on()
        self.assertEqual(self.alas(bindings.readers).splitlines()[1].split(), ["s", "n", "^a", "me", "1", "0", "0"])
        self.assertEqual(self.fails(bindings.readers, "--delete", "s", "n")[0], "1")
        client.close()
        self.run_on()
        self.assertEqual(self.alas(bindings.readers).splitlines()[1].split(), ["s", "n", "^a", "-", "1", "0", "0"])
        self.assertIsNone(json.loads(self.alas(bindings.readers, "--json"))["client"])
        self.assertEqual(self.alas(bindings.readers, "--delete", "s", "n"), "the reader n of s is deleted")
        self.assertEqual((self.alas(bindings.readers), self.note), ("", "there are no readers"))
        self.assertIn("there is no such durable reader", self.fails(bindings.readers, "--delete", "s", "n"))
