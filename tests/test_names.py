"""Addresses of Alaska's clients, and names in logs."""

from __future__ import annotations

import os
import re
import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.names import address_of, printable


class AddressTests(SynchronousTestCase):
    """Addresses."""

    def test_form(self) -> None:
        """An address is role, host and process, and four hexadecimal digits."""
        host = re.escape(socket.gethostname())
        self.assertRegex(address_of("AW"), f"^AW::{host}::{os.getpid()}-[0-9A-F]{{4}}$")

    def test_no_two(self) -> None:
        """Addresses of the same role in the same process differ."""
        self.assertGreater(len({address_of("AW") for _ in range(10)}), 1)

    def test_of_scripts(self) -> None:
        """However many addresses a script causes, none of them is one of the worker's own."""
        own, others = ({address_of("AW", is_of_script) for _ in range(3000)} for is_of_script in (False, True))
        self.assertFalse(own & others)

    @given(st.binary(max_size=8), st.integers(0, 100))
    def test_fits_the_wire(self, part: bytes, times: int) -> None:
        """For any role, the address has at most 255 octets and begins with as much of the role as fits."""
        role = part * times
        address = address_of(role.decode("utf-8", "surrogateescape"))
        octets = address.encode("utf-8", "surrogateescape")
        self.assertLessEqual(len(octets), 255)
        kept = octets.rpartition(b"::")[0].rpartition(b"::")[0]
        self.assertTrue(role.startswith(kept))
        # No more than necessary is cut: less than one character of four octets would still fit.
        self.assertTrue(kept == role or len(octets) > 251)


class PrintableTests(SynchronousTestCase):
    """Names in logs."""

    def test_plain(self) -> None:
        """A printable name is not changed, in any language."""
        for name in ("", "dump", "größe 大"):
            self.assertEqual(printable(name), name)
            self.assertEqual(printable(name.encode()), name)

    def test_escaped(self) -> None:
        """Line breaks, control characters and invalid UTF-8 are escaped, and nothing else is changed."""
        self.assertEqual(printable(b"a\nb\x1b[2J\xff"), r"a\nb\x1b[2J\xff")
        self.assertEqual(printable("a\u2028b\udcff"), r"a\u2028b\udcff")

    @given(st.binary())
    def test_any_octets(self, name: bytes) -> None:
        """For any octets, the result is one printable line that can be encoded as UTF-8."""
        shown = printable(name)
        self.assertTrue(shown.isprintable())
        shown.encode("utf-8")
