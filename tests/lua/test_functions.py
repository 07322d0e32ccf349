"""docs/functions.md lists exactly the functions that a script in the sandbox can reach, in each version of Lua."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.lua.options import LuaOptions
from tests import PROJECT
from tests.lua import functions as lua_functions
from tests.lua.lua_case import SANDBOXED, VERSION, LuaCase

DOCUMENT = PROJECT / "docs" / "functions.md"

WALK = r"""
local seen, is_known, functions = require 'lua_seen', {}, {}
local getfenv, getupvalue = getfenv or function() end, seen.debug.getupvalue
local walk

local function walk_in_order(value, path)
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
  end
  -- A value with several names gets the first one: package.loaded contains all libraries again.
  table.sort(keys, function(one, other)
    local is_one, is_other = one == 'package', other == 'package'
    return is_one ~= is_other and is_other or is_one == is_other and tostring(one) < tostring(other)
  end)
  for _, key in ipairs(keys) do
    walk(key, path .. '<key>')
    walk(value[key], (path == '' and '' or path .. '.') .. tostring(key))
  end
end

function walk(value, path)
  local kind = type(value)
  if value == nil or kind == 'string' or kind == 'number' or kind == 'boolean' then
    return
  elseif kind == 'function' then
    print(path)
    functions[#functions + 1] = { value, path }
  elseif not is_known[value] then
    is_known[value] = true
    if kind == 'table' then
      walk_in_order(value, path)
    else
      print(kind .. ' ' .. path)
    end
  end
  if kind ~= 'function' then
    walk(getmetatable(value), path .. '<metatable>')
  end
end

is_known[is_known], is_known[functions] = true, true
package.loaded.lua_seen = nil -- walked last
walk(seen.io, 'io')
for name in string.gmatch('close flush lines read seek setvbuf write x __index __gc __close __name', '%S+') do
  walk(seen.io.stdout[name], 'io.stdout:' .. name)
end
walk(seen.io.lines(), 'io.lines()')
walk(seen.io.stdout:lines(), 'io.stdout:lines()')
walk(string.gmatch('x', 'x'), 'string.gmatch()')
walk(utf8.codes 'x', 'utf8.codes()')
walk(coroutine.wrap(print), 'coroutine.wrap()')
walk(alaska.json.null, 'alaska.json.null')
walk(require 'cjson', 'cjson')
walk(require 'cjson'.new(), 'cjson')
walk(require 'cjson.safe', 'cjson')
walk(require 'pl.pretty', 'pl.pretty')
walk(alaska.json.array {}, 'array')
walk(_G, '')
walk(getmetatable '', 'strings')
walk(seen, '')
walk(coroutine.running(), 'coroutine.running()')
for i = 1, #functions do
  local value, path = functions[i][1], functions[i][2]
  walk(getfenv(value), path .. '<globals>')
  for number = 1, 255 do
    walk(select(2, getupvalue(value, number)), path .. '<variable>')
  end
end
"""
VALUES = {
    "userdata alaska.json.null",
    "thread coroutine.running()",
    *(f"userdata io.std{x}" for x in ("in", "out", "err")),
}


class ReachableTests(LuaCase):
    """The functions that a script in the sandbox can reach."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_complete(self) -> None:
        """All reachable functions are in the table, and all functions of the table exist."""
        self.use(path=str(Path(__file__).parent / "?.lua"), modules=("lua_seen",))
        found = set(self.output(WALK).splitlines())
        self.assertEqual(found - VALUES, lua_functions.reachable(VERSION))

    def test_system_modules(self) -> None:
        """The system's cjson has the same functions."""
        self.use(system_modules=True)
        source = """
            for _, name in ipairs { 'cjson', 'cjson.safe' } do
              for key, value in pairs(require(name)) do if type(value) == 'function' then print('cjson.' .. key) end end
            end
        """
        found = set(self.output(source).splitlines())
        self.assertEqual(found, {name for name in lua_functions.reachable(VERSION) if name.startswith("cjson.")})


class DocumentTests(SynchronousTestCase):
    """The document."""

    def test_document(self) -> None:
        """The document is the one generated from the table."""
        if not DOCUMENT.exists():
            raise SkipTest("the documents are not here")
        self.assertEqual(DOCUMENT.read_text(encoding="utf-8"), lua_functions.document())

    def test_rows(self) -> None:
        """Each function has one row."""
        names = [name for group in lua_functions.GROUPS for row in group.rows for name in row.names.split()]
        self.assertEqual(len(names), len(set(names)))
