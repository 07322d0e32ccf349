"""Isolation: a script affects neither later scripts nor the process."""

from __future__ import annotations

import threading

from alaska.lua.interpreter import LuaRunner
from alaska.lua.request import Outcome, Request
from alaska.lua.scripts import Scripts
from tests.lua.lua_case import LuaCase, only_in_5_4

WALK = """
local seen, count, found, tables = {}, 0, {}, {}
local getmetatable, getupvalue, getinfo, getlocal = debug.getmetatable, debug.getupvalue, debug.getinfo, debug.getlocal
local strange = { as_attrgetter = true, POBJECT = true, Py_None = true, _CLIBS = true, getregistry = true }
local walk
local function walk_frame(thread, level, path)
  local info = getinfo(thread, level, 'f')
  if not info then return false end
  walk(info.func, path)
  for i = -20, 200 do
    local name, value = getlocal(thread, level, i)
    if name then walk(value, path .. name) end
  end
  return true
end
function walk(value, path)
  local kind = type(value)
  if value == nil or kind == 'string' or kind == 'number' or kind == 'boolean' or seen[value] then return end
  seen[value] = true
  count = count + 1
  local metatable = getmetatable(value)
  if metatable and rawget(metatable, '__name') == 'POBJECT' then found[#found + 1] = path end
  walk(metatable, path .. '<metatable>')
  if kind == 'table' then
    tables[#tables + 1] = value
    if rawget(value, '_G') == value and not rawget(value, 'debug') then found[#found + 1] = path .. '=true' end
    for key, item in next, value do
      if strange[key] then found[#found + 1] = path .. '.' .. key end
      walk(key, path .. '<key>')
      walk(item, path .. '.' .. tostring(key))
    end
  elseif kind == 'function' then
    for i = 1, 255 do
      local name, item = getupvalue(value, i)
      if not name then break end
      walk(item, path .. '^' .. name)
    end
  elseif kind == 'userdata' then
    if debug.getuservalue then walk(debug.getuservalue(value, 1), path .. '<user value>') end
  elseif kind == 'thread' then
    local level = 0
    while walk_frame(value, level, path .. '@' .. level) do level = level + 1 end
  end
end
seen[strange], seen[seen], seen[found], seen[tables] = true, true, true, true
walk(_G, '_G')
walk(coroutine.running(), 'this')
walk(getmetatable(''), 'strings')
setmetatable({}, { __gc = function() walk(coroutine.running(), 'main') end })
collectgarbage()
print(count, table.concat(found, ' '))
"""
BREAK = """
local setmetatable, pcall, rawset = setmetatable, pcall, rawset
for _, t in ipairs(tables) do
  if t ~= _G then
    pcall(setmetatable, t, { __index = function() error('broken') end, __newindex = function() error('broken') end })
    for key in next, t do rawset(t, key, nil) end
  end
end
"""


class IsolationTests(LuaCase):
    """Changes of one script are not visible to the next."""

    def assert_forgotten(self, change: str, look: str, expected: str) -> None:
        """Expect a script to print the same before and after another script made a change."""
        self.assertEqual(self.output(look), expected, "before")
        self.output(change)
        self.assertEqual(self.output(look), expected, change)
        self.assertEqual(self.output(f"local _ = _G {look}"), expected, change)

    def test_globals(self) -> None:
        """Each script has fresh globals, including those that an earlier script deleted or replaced."""
        self.assert_forgotten("x = 1 _G.y = 2 rawset(_G, 'z', 3)", "print(x, y, z)", "nil\tnil\tnil\n")
        self.assert_forgotten("print, pcall = nil, nil", "print(pcall(type, 1))", "true\tnumber\n")
        self.assert_forgotten("send = nil alaskaContext = 'x'", "print(type(send), alaskaContext)", "function\t\n")
        self.assert_forgotten("setmetatable(_G, { __index = error })", "print(y)", "nil\n")

    def test_same_script(self) -> None:
        """A script does not see its own earlier runs."""
        self.write("count.lua", "n = (n or 0) + 1 print(n)")
        self.assertEqual([self.outcome_of("count").output for _ in range(3)], [b"1\n"] * 3)

    def test_functions_of_earlier_runs(self) -> None:
        """Functions created in a run keep the globals of that run."""
        source = "local mine = {} f = function() return mine == g end g = mine print(f())"
        self.write("own.lua", source)
        self.assertEqual([self.outcome_of("own").output for _ in range(3)], [b"true\n"] * 3)

    def test_library_tables(self) -> None:
        """Changes to libraries do not last."""
        for name in ("string", "table", "math", "os", "io", "coroutine", "utf8", "debug", "package"):
            self.assert_forgotten(
                f"for key in pairs({name}) do {name}[key] = nil end", f"print(next({name}) ~= nil)", "true\n"
            )
            self.assert_forgotten(f"{name}.added = 1", f"print({name}.added)", "nil\n")
            self.assert_forgotten(f"setmetatable({name}, {{ __index = error }})", f"print({name}.x)", "nil\n")
        self.assert_forgotten("math.pi = 3", "print(math.pi)", "3.1415926535898\n")

    def test_string_methods(self) -> None:
        """Methods that a script adds to strings exist in this script only."""
        self.assertEqual(self.output("function string.hi(s) return 'hi ' .. s end print(('x'):hi())"), "hi x\n")
        self.assert_forgotten("string.upper = string.lower", "print(('x'):upper(), ('x').hi)", "X\tnil\n")

    def test_string_metatable(self) -> None:
        """Changes to the metatable of strings do not last."""
        source = "getmetatable('').__call = function(s, n) return s .. n end print(('x')(1))"
        self.assertEqual(self.output(source), "x1\n")
        self.assert_forgotten(
            source,
            "print(pcall(function() return ('x')(1) end))",
            self.output("print(pcall(function() return ('x')(1) end))"),
        )
        self.assert_forgotten("getmetatable('').__index = nil", "print(('x'):upper())", "X\n")
        self.assert_forgotten("debug.setmetatable('', nil)", "print(('x'):upper())", "X\n")

    def test_other_metatables(self) -> None:
        """Changes to metatables of other types, files and functions do not last."""
        self.assert_forgotten(
            "debug.setmetatable(0, { __index = { x = 1 } })",
            "print(pcall(function() return (0).x end))",
            self.output("print(pcall(function() return (0).x end))"),
        )
        self.assert_forgotten(
            "debug.setmetatable(print, { __index = { x = 1 } })", "print(getmetatable(print))", "nil\n"
        )
        self.assert_forgotten("debug.setmetatable(nil, { __index = { x = 1 } })", "print(getmetatable(nil))", "nil\n")
        for change in (
            "getmetatable(io.tmpfile()).__index.write = nil",
            "debug.getmetatable(io.tmpfile()).__index.write = nil",
            "debug.getmetatable(io.stdout).__index.write = nil",
            "getmetatable(io.stdout).__index = nil",
            "debug.setmetatable(io.stdout, {})",
            "if debug.setuservalue then debug.setuservalue(io.stdout, {}, 1) end",
        ):
            self.assert_forgotten(change, "print(io.tmpfile():write('x') ~= nil) io.stdout:write('y')", "true\ny")

    def test_standard_files(self) -> None:
        """Nothing can be stored in a standard file."""
        self.assertIn("attempt to index", self.error("io.stdout.x = 1"))
        self.assertIn("table expected", self.error("rawset(io.stdout, 'x', 1)"))

    def test_modules(self) -> None:
        """Each run loads its modules again; package.loaded and package.preload are reset."""
        self.write("counter.lua", "local m = { n = 0 } function m.next() m.n = m.n + 1 return m.n end return m")
        self.assert_forgotten("require('counter').next()", "print(require('counter').next())", "1\n")
        self.assert_forgotten("require('cjson').encode = nil", "print(require('cjson').encode({ 1 }))", "[1]\n")
        self.assert_forgotten(
            "package.loaded.x = 1 package.preload.y = error",
            "print(pcall(require, 'x') == pcall(require, 'y'))",
            "true\n",
        )
        self.assert_forgotten("package.loaded.string = {}", "print(require('string') == string)", "true\n")
        self.assert_forgotten("package.path = '?'", "print(package.path)", "\n")

    def test_hooks(self) -> None:
        """A debug hook ends with its script."""
        self.assert_forgotten("debug.sethook(function() n = 1 end, 'crl')", "print((debug.gethook()))", "nil\n")

    def test_upvalues_of_shared_functions(self) -> None:
        """Changing the upvalues of a shared function does not affect the next script."""
        for function in ("print", "send", "require", "io.write", "getmetatable", "coroutine.wrap"):
            change = f"for i = 1, 20 do pcall(debug.setupvalue, {function}, i, function() return 'broken' end) end"
            self.outcome(change)
            self.outcome(f"{change} print('x') send('a', 'b') require('x') io.write('x')")
            self.assertEqual(self.output("print('x') io.write('y') print(send('a', 'b'))"), "x\ny0\n")

    def test_random(self) -> None:
        """A script that seeds the random numbers does not make those of the next predictable."""
        self.output("math.randomseed(42)")
        first = self.output("print(math.random(2 ^ 53))")
        self.output("math.randomseed(42)")
        self.assertNotEqual(first, self.output("print(math.random(2 ^ 53))"))

    def test_warnings(self) -> None:
        """Warnings are off at the start of each script."""
        self.assert_forgotten("warn('@on')", "warn('x')", "")

    def test_error_of_exit(self) -> None:
        """The error that os.exit raises in a C function carries no state to the next script."""
        source = "local _, exit = pcall(string.gsub, 'x', 'x', function() os.exit() end)"
        self.output(f"{source} exit.kept = true")
        path = self.directory / "seen"
        self.output(f"{source} io.open('{path}', 'w'):write(tostring(exit.kept))")
        self.assertEqual(path.read_text(), "nil")

    def test_collector(self) -> None:
        """Changes to the garbage collector's settings do not last."""
        self.assert_forgotten("collectgarbage('stop')", "print(collectgarbage('isrunning'))", "true\n")
        for option in ("setpause", "setstepmul"):
            self.assert_forgotten(
                f"collectgarbage('{option}', 77)", f"print(collectgarbage('{option}', 200) == 77)", "false\n"
            )

    def test_locale(self) -> None:
        """The locale cannot be changed."""
        self.assertEqual(self.output("print(os.setlocale(), os.setlocale('C'), os.setlocale('de_DE'))"), "C\tC\tnil\n")

    @only_in_5_4
    def test_finalizers(self) -> None:
        """A finalizer runs before its request ends, and its output and messages belong to that request."""
        source = "object = setmetatable({}, { __gc = function() send('gc', '') print('gone') end })"
        outcome = self.outcome(source)
        self.assertEqual([send.subject for send in outcome.sends], [b"gc"])
        self.assertEqual(outcome.output, b"gone\n")
        self.assertEqual(self.outcome("collectgarbage() collectgarbage()"), Outcome())

    def test_failing_finalizer(self) -> None:
        """A finalizer that fails, or creates further finalizers, has no effect on the next script."""
        self.output("for i = 1, 3 do setmetatable({}, { __gc = function() error('x') end }) end")
        self.output("local function again() setmetatable({}, { __gc = again }) end setmetatable({}, { __gc = again })")
        self.output("setmetatable({}, { __gc = function() os.exit(1) end })")
        self.output("setmetatable({}, { __gc = function() load('return 1') require('x') end })")
        self.assertEqual(self.output("print('fine')"), "fine\n")

    def test_memory_is_released(self) -> None:
        """Memory held by globals is released when the script has ended, even if it does not run again."""
        self.output("big = ('x'):rep(50000000)")
        used = float(self.output("collectgarbage() collectgarbage() print(collectgarbage('count'))"))
        self.assertLess(used, 10000)


class EscapeTests(LuaCase):
    """Scripts can reach neither Python nor anything that crashes the process."""

    def test_no_python(self) -> None:
        """Lupa's library is not reachable."""
        self.assertEqual(
            self.output("print(python, package.loaded.python, (pcall(require, 'python')))"), "nil\tnil\tfalse\n"
        )

    def test_registry(self) -> None:
        """The registry, which contains lupa's data, is not reachable, and neither is debug.debug."""
        self.assertEqual(
            self.output("print(debug.getregistry, debug.debug, package.loaded.debug.getregistry)"), "nil\tnil\tnil\n"
        )

    def test_nothing_of_python_is_reachable(self) -> None:
        """Tables, metatables, upvalues and stack frames lead neither to Python objects nor to the registry or real
        globals.
        """
        self.write("walk.lua", WALK)
        outcome = self.outcome_of("walk")
        self.assertIsNone(outcome.error, str(outcome.error))
        count, *found = outcome.output.decode().split()
        self.assertGreater(int(count), 150)
        self.assertEqual(found, [])

    def test_real_globals_cannot_be_broken(self) -> None:
        """A script that gives every reachable table a failing metatable affects only its own run."""
        self.write("walk.lua", WALK + BREAK)
        self.outcome_of("walk")
        self.assertEqual(self.output("print('alive')"), "alive\n")

    def test_c_libraries(self) -> None:
        """A script can neither load a C library nor choose where C modules are loaded from."""
        self.assertEqual(self.output("print(package.loadlib('libc.so.6', '*'))").split("\t")[::2], ["nil", "absent\n"])
        self.assertIn(
            "not found", self.output("package.cpath = '/usr/lib/x86_64-linux-gnu/?.so.6' print(pcall(require, 'libc'))")
        )

    def test_forged_file(self) -> None:
        """A file cannot be disguised as one of lupa's objects, because their metatable is not reachable."""
        self.output(
            "for _, v in pairs { io.stdout, io.tmpfile() } do assert(debug.getmetatable(v).__index.setvbuf) end"
        )


class TrustedTests(LuaCase):
    """Features that work for trusted scripts as in plain Lua."""

    def test_main_chunk(self) -> None:
        """debug.getinfo reports the main functions of scripts and modules as main, and others as Lua functions."""
        self.write("module.lua", "print(debug.getinfo(1, 'S').what)")
        source = """
            print(debug.getinfo(1, 'S').what, debug.getinfo(print, 'S').what)
            local function f() return (debug.getinfo(1, 'S').what) end
            print(f(), debug.getinfo(f).what, debug.getinfo(f, 'l').what)
            require 'module'
        """
        self.assertEqual(self.output(source), "main\tLua\nLua\tLua\tnil\nmain\n")

    def test_levels(self) -> None:
        """The functions of the debug library count levels from their caller."""
        source = """
            local function f(a) local b = 2 return debug.getlocal(1, 1), debug.getinfo(1, 'l').currentline end
            print(f(1)) print(select(2, debug.getlocal(1, 1)) == f, debug.getlocal(f, 1))
            print(pcall(debug.getlocal, 100, 1))
        """
        output = self.output(source).split("\n")
        self.assertEqual(output[:2], ["a\t2", "true\ta"])
        self.assertTrue(output[2].startswith("false\t"), output[2])

    def test_arguments(self) -> None:
        """The script's path is arg[0]."""
        self.assertEqual(self.output("print(arg[0], #arg)"), f"{self.directory / 'script.lua'}\t0\n")
        self.use(sandbox=True)
        self.assertEqual(self.output("print(arg, _G.arg)"), "nil\tnil\n")


class RunnerTests(LuaCase):
    """The lifetime of a runner."""

    def test_closed_and_used_again(self) -> None:
        """A closed runner can be used again."""
        self.runner.close()
        self.runner.close()
        self.assertEqual(self.output("print(1)"), "1\n")

    def test_many_runs(self) -> None:
        """Memory use does not grow over many runs of scripts that create garbage."""
        self.write("garbage.lua", "t = {} for i = 1, 100 do t[i] = { i } end print(collectgarbage('count'))")
        used = [float(self.outcome_of("garbage").output) for _ in range(3000)]
        self.assertLess(max(used[2000:]), 2 * max(used[:1000]))

    def test_two_threads(self) -> None:
        """Runners in different threads do not affect each other."""
        self.write("echo.lua", "for i = 1, 50 do print(alaskaContext) send(alaskaContext, i) end x = alaskaContext")
        results: dict[bytes, list[Outcome]] = {}

        def work(context: bytes) -> None:
            runner = LuaRunner(self.options)
            scripts = Scripts(self.directory)
            request = Request(b"", b"", b"echo", b"", (context,))
            results[context] = [runner.run(scripts.find(b"echo"), request) for _ in range(100)]
            runner.close()

        threads = [threading.Thread(target=work, args=(name,)) for name in (b"one", b"two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in (b"one", b"two"):
            for outcome in results[name]:
                self.assertEqual(outcome.output, (name + b"\n") * 50)
                self.assertEqual({send.subject for send in outcome.sends}, {name})

    def test_made_in_one_thread_used_in_another(self) -> None:
        """A runner can be used by another thread than the one that created it."""
        self.output("print(1)")
        outputs: list[str] = []
        thread = threading.Thread(target=lambda: outputs.append(self.output("print(2)")))
        thread.start()
        thread.join()
        self.assertEqual(outputs, ["2\n"])
