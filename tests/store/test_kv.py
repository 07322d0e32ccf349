"""The key-value store of scripts."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from math import inf, nan
from pathlib import Path
from threading import Thread
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import KeyValueError, StoreError
from alaska.store.kv import MAX_VALUE_OCTETS, KeyValues
from tests.histories import try_histories


class KeyValuesTests(SynchronousTestCase):
    """A store in memory."""

    def open(self, **options: Any) -> KeyValues:
        """Open a store in memory."""
        kv = KeyValues(None, **options)
        self.addCleanup(kv.close)
        return kv

    def test_kinds(self) -> None:
        """Octets, integers and floats are returned unchanged."""
        kv = self.open()
        for value in (b"", b"a\0\xff", 0, -(2**63), 2**63 - 1, 0.5, inf, -inf, 1e300):
            kv.set(b"key", value, 0.0)
            found = kv.get(b"key", 0.0)
            self.assertEqual((type(found), found), (type(value), value))

    def test_over(self) -> None:
        """A value expires at its time, and a new value without an expiry does not."""
        kv = self.open()
        kv.set(b"key", 1, 100.0, 10.0)
        self.assertEqual((kv.get(b"key", 109.9), kv.ttl(b"key", 104.0)), (1, 6.0))
        self.assertEqual((kv.get(b"key", 110.0), kv.ttl(b"key", 110.0)), (None, None))
        self.assertFalse(kv.delete(b"key", 110.0))
        kv.set(b"key", 2, 111.0)
        self.assertEqual((kv.get(b"key", 1e12), kv.ttl(b"key", 1e12)), (2, inf))

    def test_sum_of_what_is_over(self) -> None:
        """Adding to an expired value starts at 0, and adding does not change the expiry."""
        kv = self.open()
        kv.set(b"key", 5, 0.0, 10.0)
        self.assertEqual((kv.increase(b"key", 2, 9.0), kv.ttl(b"key", 9.0)), (7, 1.0))
        self.assertEqual((kv.increase(b"key", 2, 10.0), kv.ttl(b"key", 10.0)), (2, inf))

    def test_sum_out_of_range(self) -> None:
        """A sum that is out of range is refused, for integers and floats, and the value is not changed."""
        kv = self.open()
        for value, by in (
            (2**63 - 1, 1),
            (-(2**63), -1),
            (2**62, 2**62),
            (0.5, 1e19),
            (2.0**62, 2.0**62),
            (1, inf),
            (1, -inf),
            (1, nan),
        ):
            kv.set(b"key", value, 0.0)
            self.assertRaises(KeyValueError, kv.increase, b"key", by, 0.0)
            self.assertEqual(kv.get(b"key", 0.0), value)
        self.assertEqual(kv.increase(b"other", 2**63 - 1, 0.0), 2**63 - 1)

    def test_too_long(self) -> None:
        """A key or value that is too long is refused, and the old value is not changed."""
        kv = self.open()
        kv.set(b"key", b"old", 0.0)
        self.assertRaises(KeyValueError, kv.set, b"key", bytes(MAX_VALUE_OCTETS + 1), 0.0)
        self.assertRaises(KeyValueError, kv.set, bytes(256), b"", 0.0)
        self.assertEqual(kv.get(b"key", 0.0), b"old")

    def test_full(self) -> None:
        """A full store refuses new values and keeps the old ones; expired values make room."""
        kv = self.open(size_limit=2**20)
        kv.set(b"first", b"kept", 0.0)
        for number in range(20):
            try:
                kv.set(b"%d" % number, bytes(100_000), 0.0, 10.0)
            except KeyValueError as error:
                self.assertEqual(str(error), "the store is full")
                break
        else:
            self.fail("there is no limit")
        self.assertGreater(number, 5)
        self.assertEqual(kv.get(b"first", 0.0), b"kept")
        kv.set(b"more", bytes(100_000), 10.0)

    def test_closed(self) -> None:
        """All methods of a closed store raise an error."""
        kv = KeyValues(None)
        kv.close()
        self.assertRaises(KeyValueError, kv.get, b"key", 0.0)
        self.assertRaises(KeyValueError, kv.set, b"key", 1, 0.0)

    def test_threads(self) -> None:
        """No update is lost when several threads add at the same time."""
        kv = self.open()
        threads = [Thread(target=lambda: [kv.increase(b"n", 1, 0.0) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(kv.get(b"n", 0.0), 800)


class FileTests(SynchronousTestCase):
    """A store in a file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_durable(self) -> None:
        """A value is in the file even if the store was not closed."""
        KeyValues(self.path).set(b"key", b"value", 0.0)
        again = KeyValues(self.path)
        self.addCleanup(again.close)
        self.assertEqual(again.get(b"key", 0.0), b"value")

    def test_shared(self) -> None:
        """Two workers with the same file see each other's changes."""
        one, other = KeyValues(self.path), KeyValues(self.path)
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.assertEqual([kv.increase(b"n", 1, 0.0) for kv in (one, other, one)], [1, 2, 3])

    def test_something_else(self) -> None:
        """A file that is not a key-value store is refused with an error that names it, and is not modified."""
        self.path.write_bytes(b"not a database" * 100)
        self.assertIn(str(self.path), str(self.assertRaises(StoreError, KeyValues, self.path)))
        self.assertTrue(self.path.read_bytes().startswith(b"not a database"))
        other = Path(self.mktemp())
        connection = sqlite3.connect(other)
        connection.executescript("CREATE TABLE theirs (x); PRAGMA user_version = 7;")
        connection.close()
        self.assertIn("the layout 7", str(self.assertRaises(StoreError, KeyValues, other)))

    def test_nowhere(self) -> None:
        """A path in a missing directory is refused."""
        self.assertRaises(StoreError, KeyValues, self.path / "missing" / "file")


class Model(RuleBasedStateMachine):
    """Any calls in any order, compared to a dictionary."""

    keys = st.sampled_from([b"a", b"b", b"c"])

    @initialize()
    def begin(self) -> None:
        """Open a store in memory."""
        self.kv = KeyValues(None)
        self.now = 0.0
        self.known: dict[bytes, tuple[bytes | int, float]] = {}

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds
        self.known = {key: entry for key, entry in self.known.items() if entry[1] > self.now}

    @rule(key=keys, value=st.binary(max_size=3) | st.integers(-5, 5), ttl=st.none() | st.integers(1, 8))
    def set(self, key: bytes, value: bytes | int, ttl: int | None) -> None:
        """Set a key."""
        self.kv.set(key, value, self.now, ttl)
        self.known[key] = value, inf if ttl is None else self.now + ttl

    @rule(key=keys, by=st.integers(-5, 5))
    def add(self, key: bytes, by: int) -> None:
        """Add to a key."""
        value, expires = self.known.get(key, (0, inf))
        if isinstance(value, bytes):
            try:
                self.kv.increase(key, by, self.now)
            except KeyValueError:
                return
            raise AssertionError(key)
        self.known[key] = value + by, expires
        assert self.kv.increase(key, by, self.now) == value + by

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        """Delete a key."""
        assert self.kv.delete(key, self.now) is (self.known.pop(key, None) is not None)

    @invariant()
    def same(self) -> None:
        """The store and the dictionary have the same value and expiry for every key."""
        for key in (b"a", b"b", b"c"):
            value, expires = self.known.get(key, (None, None))
            assert self.kv.get(key, self.now) == value
            assert self.kv.ttl(key, self.now) == (None if expires is None else expires - self.now)

    def teardown(self) -> None:
        """Close the store."""
        if hasattr(self, "kv"):
            self.kv.close()


class PrivateTests(SynchronousTestCase):
    """Permissions of the file."""

    def test_mode(self) -> None:
        """Only the owner can access the file and SQLite's files beside it."""
        self.addCleanup(os.umask, os.umask(0))
        path = Path(self.mktemp())
        kv = KeyValues(path)
        self.addCleanup(kv.close)
        kv.set(b"key", b"value", kv.now())
        for each in path.parent.glob(f"{path.name}*"):
            self.assertEqual(each.stat().st_mode & 0o777, 0o600, each)


class ClockTests(SynchronousTestCase):
    """The clock of a file."""

    def test_step_of_the_wall_clock(self) -> None:
        """All users of a file have the same time, whatever the wall clock shows when they open it."""
        path = Path(self.mktemp())
        first = KeyValues(path)
        self.addCleanup(first.close)
        self.assertLess(abs(first.now() - time.time()), 300)
        self.patch(time, "time", lambda wall=time.time: wall() - 3600)
        second = KeyValues(path)
        self.addCleanup(second.close)
        self.assertLess(abs(second.now() - first.now()), 300)

    def test_file_without_a_clock(self) -> None:
        """A file of the older layout without a clock can be opened."""
        path = Path(self.mktemp())
        first = KeyValues(path)
        first.set(b"key", 1, first.now())
        first.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE clock")
            connection.execute("PRAGMA user_version = 1")
        again = KeyValues(path)
        self.addCleanup(again.close)
        self.assertEqual(again.get(b"key", again.now()), 1)


class ModelTests(SynchronousTestCase):
    """The store compared to the model."""

    def test_model(self) -> None:
        """After any sequence of calls, the store has the same content as the model."""
        try_histories(Model, 100, 50)
