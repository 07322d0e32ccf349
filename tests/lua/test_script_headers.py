"""Headers of scripts: what their first comment lines say about retries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.header import MOST_FAULTS, NO_HEADER, read_header
from alaska.system.retry_plan import Backoff, Plan


class HeaderTests(SynchronousTestCase):
    """Reading headers."""

    def plan(self, source: bytes) -> Plan:
        """Return the plan of a header that is read as a whole."""
        header = read_header(source)
        self.assertEqual(header.faults, ())
        return header.plan

    def faults(self, source: bytes) -> list[tuple[int, str]]:
        """Return the faults of a header."""
        return [(fault.line, fault.text) for fault in read_header(source).faults]

    def test_plan(self) -> None:
        """Retries and backoff are read; a request is tried once more than it is retried."""
        plan = self.plan(b"-- alaska: retries=5 backoff=2s..10m\nreturn 1")
        self.assertEqual(plan, Plan(6, Backoff(2000, 600_000)))

    def test_place(self) -> None:
        """The header may be below other comments and blank lines, and in several lines."""
        source = b"\xef\xbb\xbf#!/usr/bin/lua\n-- Orders.\n\n  --alaska: retries=0\r\n-- alaska: backoff=1ms..1ms\n"
        self.assertEqual(self.plan(source), Plan(1, Backoff(1, 1)))

    def test_not_below_code(self) -> None:
        """A comment below code, below the first lines, or in a string is no header."""
        for source in (
            b"return 1\n-- alaska: retries=5",
            b"\n" * 20 + b"-- alaska: retries=5",
            b"local x = '-- alaska: retries=5'",
            b"-- see the alaska: retries=5",
        ):
            self.assertEqual(read_header(source), NO_HEADER, source)

    def test_faults(self) -> None:
        """Each word that is unknown or not valid is reported with its line; the others count."""
        for word, text in [
            (b"retry=5", "unknown name retry; the names are retries, backoff"),
            (b"fast", "fast is not NAME=VALUE"),
            (b"backoff=2s", "backoff=2s: it must be two durations, such as 2s..10m"),
            (b"backoff=2..5s", "backoff=2..5s: '2' is not a duration such as 500ms, 90s, 5m, 2h or 30d"),
            (b"retries=3", "retries is given twice"),
        ]:
            source = b"-- Orders.\n-- alaska: retries=5 " + word
            self.assertEqual(self.faults(source), [(2, text)])
            self.assertEqual(read_header(source).plan, Plan(6))

    def test_range(self) -> None:
        """Numbers out of range have no effect."""
        for word in (b"retries=1001", b"retries=-1", b"retries=", b"backoff=5s..2s", b"backoff=1s..31d"):
            self.assertEqual(read_header(b"-- alaska: " + word).plan, Plan(), word)
            self.assertEqual(len(self.faults(b"-- alaska: " + word)), 1, word)

    def test_many_faults(self) -> None:
        """Only some faults are reported, each on one short line."""
        found = self.faults(b"-- alaska: " + b" ".join(b"x%d=\x00%s" % (number, b"y" * 500) for number in range(7)))
        self.assertEqual(len(found), MOST_FAULTS)
        self.assertTrue(all(text.isprintable() and len(text) < 200 for _, text in found))

    @given(st.binary(max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets after the mark are read, or reported."""
        header = read_header(b"-- alaska:" + octets)
        self.assertTrue(header.plan != Plan() or header.faults or not octets.partition(b"\n")[0].strip() or octets)
