"""Names as text of JSON."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.text import to_name, to_text


class TextTests(SynchronousTestCase):
    """Names become text, and text names again."""

    @given(st.binary(max_size=255))
    def test_there_and_back(self, name: bytes) -> None:
        """Whatever its octets are, a name can be written as JSON and is the same afterwards."""
        text = msgspec.json.decode(msgspec.json.encode(to_text(name)), type=str)
        self.assertEqual(to_name(text), name)

    def test_readable(self) -> None:
        """UTF-8 stays as it is; only other octets and backslashes are escaped."""
        self.assertEqual(to_text("größe/1".encode()), "größe/1")
        self.assertEqual(to_text(b"a\\b\xff"), "a\\\\b\\xff")

    def test_surrogates(self) -> None:
        """Octets that Python has decoded as surrogates are taken as these octets."""
        self.assertEqual(to_name("a\udcff"), b"a\xff")
