"""alaska.kv."""

from __future__ import annotations

from tests.lua.lua_case import LuaCase


class KeyValueTests(LuaCase):
    """The key-value store that scripts share."""

    def test_values(self) -> None:
        """Strings of any octets, numbers, booleans and tables are returned unchanged."""
        source = """
            local kv = alaska.kv
            for _, value in ipairs { 'a\\0\\255', '', 7, -0.5, 1e300, true, false } do
              kv.set('key', value)
              assert(kv.get('key') == value, tostring(value))
            end
            kv.set('key', { 1, { x = 'y' } })
            print(kv.get('key')[2].x, kv.get('nothing'))
        """
        self.assertEqual(self.output(source), "y\tnil\n")

    def test_shared(self) -> None:
        """All runners share the values."""
        self.output("alaska.kv.set('key', 'value')")
        self.use()
        self.assertEqual(self.output("print(alaska.kv.get('key'))"), "value\n")

    def test_incr(self) -> None:
        """A call of incr adds to a number, by default 1, starting at 0."""
        source = "local incr = alaska.kv.incr print(incr('n'), incr('n', 10), incr('n', -1), incr('f', 0.5))"
        self.assertEqual(self.output(source), "1\t11\t10\t0.5\n")

    def test_incr_of_text(self) -> None:
        """Calling incr for a value that is not a number is an error."""
        source = "alaska.kv.set('k', 'text')\nalaska.kv.incr('k')"
        self.assertIn("script.lua:2: alaska.kv.incr: the value of the key is not a number", self.error(source))

    def test_ttl(self) -> None:
        """A value with a TTL expires; ttl returns the remaining time, or infinity."""
        source = "local kv = alaska.kv kv.set('a', 1, 10) kv.set('b', 1) "
        source += "print(kv.ttl('a'), kv.ttl('b') == math.huge, kv.ttl('c'))"
        self.assertRegex(self.output(source), r"^10(\.0)?\ttrue\tnil\n$")
        self.now += 9.5
        self.assertEqual(self.output("print(alaska.kv.get('a'), alaska.kv.ttl('a'))"), "1\t0.5\n")
        self.now += 0.5
        self.assertEqual(
            self.output("print(alaska.kv.get('a'), alaska.kv.ttl('a'), alaska.kv.get('b'))"), "nil\tnil\t1\n"
        )

    def test_delete(self) -> None:
        """A call of delete returns whether there was a value; set with nil deletes and returns nothing."""
        source = "local kv = alaska.kv kv.set('a', 1) print(kv.delete('a'), kv.delete('a')) "
        source += "kv.set('a', 1) kv.set('a', nil) print(kv.get('a'))"
        self.assertEqual(self.output(source), "true\tfalse\nnil\n")

    def test_bad_arguments(self) -> None:
        """Invalid arguments are errors at the position of the call."""
        for call, part in {
            "get({})": "bad argument #1 to 'get' (the key must be",
            "get(('k'):rep(256))": "bad argument #1 to 'get' (the key has 256 octets",
            "set('k', print)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected",
            "set('k', 0/0)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected",
            "set('k', 1/0)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected, got a",
            "set('k', {-1/0})": "bad argument #2 to 'set' (Cannot serialise number: must not be NaN or Inf",
            "incr('k', -1/0)": "bad argument #2 to 'incr' (a string, a number, a boolean or a table is expected, got a",
            "set('k', 1, 1/0)": "bad argument #3 to 'set' (a finite number of seconds",
            "set('k', 1, 0/0)": "bad argument #3 to 'set' (a number of seconds above 0",
            "set('k', {print})": "bad argument #2 to 'set' (Cannot serialise",
            "set('k', 1, 0)": "bad argument #3 to 'set' (a number of seconds above 0",
            "incr('k', 'x')": "bad argument #2 to 'incr' (number expected",
            "set('k', ('x'):rep(1024 * 1024))": "alaska.kv.set: the value has 1048577 octets",
        }.items():
            self.assertIn(f"script.lua:2: {part}", self.error(f"\nalaska.kv.{call}"))
