"""The globals that a Lua source reads and sets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.lua_names import NotLua, Use, globals_of


class NamesTests(SynchronousTestCase):
    """Globals of sources."""

    def assert_uses(self, source: str, *names: str) -> None:
        """Check that a source reads these globals, in order."""
        uses, _ = globals_of(source.encode())
        self.assertEqual([use.name for use in uses], list(names), source)

    def test_lines(self) -> None:
        """A use has the correct line, also after long comments and strings."""
        source = b"--[[ a\nb ]] x()\nlocal s = [==[\n]]\n]==] y()\n-- z\n\n w = z"
        self.assertEqual(globals_of(source)[0], [Use("x", 2), Use("y", 5), Use("z", 8)])

    def test_not_names(self) -> None:
        """Fields, methods, keys, labels, attributes, strings, comments and numbers are not globals."""
        self.assert_uses("a.b.c:d(1).e = { f = 1, ['g'] = 2, 'h', 0x1p4, 1e5, 3 } --i", "a")
        self.assert_uses("local a <const>, b <close> = 1, nil goto done ::done:: return a, b")
        self.assert_uses("f'x' f[[x]] f{x = 1} ('x'):rep(2)", "f", "f", "f")
        self.assert_uses("return 0xA.8p-2, .5, 3., 1ULL, 2i, 1 .. 2, 'a\\'b', \"\\\"\", '\\\n'")

    def test_scopes(self) -> None:
        """The scope of a local is from the end of its statement to the end of its block."""
        self.assert_uses("local a = a; return a", "a")
        self.assert_uses("do local a end return a", "a")
        self.assert_uses("for i, j in k do l(i, j) end return i", "k", "l", "i")
        self.assert_uses("for i = i, n do f(i) end", "i", "n", "f")
        self.assert_uses("repeat local a = 1 until a and b", "b")
        self.assert_uses("if a then local b = 1 elseif b then else c() end", "a", "b", "c")
        self.assert_uses("while a do local a = 1 end return a", "a", "a")

    def test_functions(self) -> None:
        """Parameters, self and the name of a local function are locals in the function."""
        self.assert_uses("local function f(a, ...) return f, a, ... end")
        self.assert_uses("local f = function(a) return f end", "f")
        self.assert_uses("local t = {} function t.a.b:c(d) return self, d end")
        self.assert_uses("function t.f() return self end", "t", "self")

    def test_sets(self) -> None:
        """Assignments and function definitions set globals and do not read them; locals are neither."""
        uses, sets = globals_of(b"a, b.c, d = 1, 2, 3 function e() end local f function f() end f = 1")
        self.assertEqual(([use.name for use in uses], sets), (["b"], {"a", "d", "e"}))

    def test_environment_of_its_own(self) -> None:
        """In the scope of a local _ENV, names are not globals."""
        self.assert_uses("local _ENV = { x = 1 } y = x")
        self.assert_uses("local function f(_ENV) return x end return z", "z")

    def test_operators(self) -> None:
        """Operators of all Lua versions are parsed."""
        self.assert_uses("return -a ^ not b // c ~ #d .. e << f >> g & h | i ~= j and k or l", *"abcdefghijkl")

    def test_goto_as_a_name(self) -> None:
        """In Lua 5.1 goto is an ordinary name."""
        self.assert_uses("local goto = 1 goto = 2 return goto")

    def test_no_lua(self) -> None:
        """Invalid sources and sources that nest too deeply raise NotLua."""
        for source in (b"local", b"x = = 1", b"f(", b"end", b"\x01", b"return " + b"{" * 10_000):
            self.assertRaises(NotLua, globals_of, source)
