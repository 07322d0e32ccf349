# ruff: noqa: E501 - a script on one line is read as one
"""Malicious scripts, and the limit or result that is expected of each.

They run with limits of time and memory. Each may cost its own request only.
"""

from __future__ import annotations

TIMEOUT = "worker/scripts/timeout"
MEMORY = "worker/scripts/memory"
OUTPUT = "worker/scripts/output"
SENDS = "worker/scripts/sends"
SENDS_SIZE = "worker/scripts/sends-size"

SLOW_OPERATORS = {
    "comparison": r"local a, b = ('\0'):rep(3e5), ('\0'):rep(3e5) for _ = 1, 1e9 do local _ = a < b end",
    "comparisons in a row": r"local a, b = ('\0'):rep(3e5), ('\0'):rep(3e5) " + "_ = a <= b " * 20_000,
    "comparison without its operator": r"""
        local t = {}
        for i = 1, 2 do t[i] = ('\0'):rep(3e5) end
        for _ = 1, 1e9 do table.sort(t) end""",
    "sort": r"local t = {} for i = 1, 90000 do t[i] = ('\0'):rep(250) .. i end for _ = 1, 9 do table.sort(t) end",
    "arithmetic": "local a = ('1'):rep(5e5) for _ = 1, 1e9 do local _ = a + 1 end",
    "sign": "local a = ('1'):rep(5e5) for _ = 1, 1e9 do local _ = -a end",
}

AFTER_CALLS = {
    "calls of C": """
        local t = {} for i = 1, 50000 do t[i] = i end
        local u = table.unpack
        local function f(n) if n > 0 then f(n - 1) u(t) u(t) u(t) u(t) u(t) end end f(15000)""",
    "coroutines": """
        local t = {} for i = 1, 50000 do t[i] = i end
        local u = table.unpack
        local function f(n, m)
          if n > 0 then f(n - 1, m) elseif m > 0 then coroutine.wrap(f)(900, m - 1) end
          u(t) u(t) u(t) u(t) u(t)
        end
        f(900, 150)""",
    "shallow calls of C": """
        local t = {} for i = 1, 900000 do t[i] = i end
        local u = table.unpack
        local function f(n) if n > 0 then f(n - 1) u(t) u(t) u(t) u(t) u(t) u(t) end end f(150) f(150) f(900)""",
    "shallow comparisons": f"""
        local a, b = ('x'):rep(3e7) .. 'a', ('x'):rep(3e7) .. 'b'
        local function f(n) if n > 0 then f(n - 1) {"_ = a == b " * 100} end end f(100)""",
    "memory that grows meanwhile": f"""
        local a, b
        local function f(n)
          if n > 0 then f(n - 1) else a, b = ('x'):rep(3e7) .. 'a', ('x'):rep(3e7) .. 'b' end
          {"_ = a == b " * 100}
        end
        f(150)""",
    "comparisons in few calls": f"""
        local a, b = ('x'):rep(2e7) .. 'a', ('x'):rep(2e7) .. 'a'
        a, b = a .. a, b .. b
        local function f(n) if n > 0 then f(n - 1) end {"_ = a == b " * 96} end f(10)""",
    "long keys in few calls": f"""
        local a, b = ('x'):rep(2e7) .. 'a', ('x'):rep(2e7) .. 'a'
        a, b = a .. a, b .. b
        local t = {{ [a] = 1 }}
        local function f(n) if n > 0 then f(n - 1) end {"_ = t[b] " * 96} end f(10)""",
    "lists in few calls": f"""
        local t = {{}} for i = 1, 4100000 do t[i] = 1 end
        local c = table.concat
        local function f(n) if n > 0 then f(n - 1) end {"c(t) " * 6} end f(10)""",
    "formats in few calls": f"""
        local u, a = string.unpack, ('Xb'):rep(2e7)
        local function f(n) if n > 0 then f(n - 1) end {"u(a, 'a') " * 6} end f(10)""",
    "joins": f"""
        local a = ('x'):rep(2e7)
        local b = a:sub(2)
        local function f(n) if n > 0 then f(n - 1) end local x {"x = a .. b " * 6} end f(150)""",
    "joins after a dropped finalizer": f"""
        local n, call
        local t = setmetatable({{}}, {{ __index = function(t)
          n = n - 1
          if n <= 0 then call() return 1 end
          return (t.x)
        end }})
        local function nest(outer, inner, f)
          n, call = outer, function()
            n, call = inner, f
            assert(coroutine.resume(coroutine.create(function() return (t.x) end)))
          end
          return (t.x)
        end
        local least = 80
        while pcall(nest, 90, least, type) do least = least + 1 end
        pcall(nest, 90, least - 1, function() for i = 1, 60000 do local x = {{ i }} end end)
        local a = ('x'):rep(2e7)
        local b = a:sub(2)
        local function f(n) if n > 0 then f(n - 1) end local x {"x = a .. b " * 6} end f(150)""",
    "name of a chunk": """
        local f = load([[
          local t = ... for i = 1, 50000 do t[i] = i end
          local u = table.unpack
          local function f(n) if n > 0 then f(n - 1) u(t) u(t) u(t) u(t) u(t) end end f(15000)]], '=[alaska limits]')
        f {}""",
    "errors of closing": """
        local function f()
          pcall(function()
            local x <close> = setmetatable({}, { __close = function() f() error 'x' end })
            error 'y'
          end)
        end
        while true do f() end""",
}

ENDLESS = {
    "while": "while true do end",
    "repeat": "repeat until false",
    "for": "for i = 1, 1e18 do end",
    "for with a step of nothing much": "for i = 0, 1, 1e-300 do end",
    "generic for": "for _ in function() return 1 end do end",
    "generic for of C": "for _ in os.time do end",
    "goto": "::again:: goto again",
    "goto out of a block": "do ::a:: do do goto a end end end",
    "goto with a comment": "::again:: goto --[[ where? ]] again",
    "two gotos": "::a:: goto b ::b:: goto a",
    "one line each": "while\ntrue\ndo\nend",
    "no blanks": "while(true)do(function()end)()end",
    "pcall": "pcall(function() while true do end end)",
    "pcall in a loop": "while true do pcall(function() while true do end end) end",
    "pcall of pcall": "pcall(pcall, pcall, pcall, function() while true do end end) while true do end",
    "pcall nested deep": "local function f(n) if n == 0 then while true do end end pcall(f, n - 1) f(0) end f(100)",
    "pcall that calls itself": "local function f() pcall(f) f() end f()",
    "pcall twice": "local function f() pcall(f) pcall(f) end f() while true do pcall(f) end",
    "error in a loop": "while true do pcall(error, {}) end",
    "xpcall": "while true do xpcall(function() while true do end end, function() end) end",
    "handler": "xpcall(error, function() while true do end end)",
    "handler of a handler": """
        local function handler() xpcall(error, function() while true do end end) while true do end end
        while true do xpcall(error, handler) end""",
    "handler that catches": "while true do xpcall(error, function() while true do pcall(error) end end) end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "coroutine in a loop": "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "coroutine that yields": "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end",
    "coroutine in pcall": "while true do pcall(coroutine.wrap(function() while true do end end)) end",
    "coroutines in coroutines": """
        local function f() while true do pcall(coroutine.wrap(f)) end end f()""",
    "two coroutines": """
        local a, b
        a = coroutine.wrap(function() while true do coroutine.yield() end end)
        b = coroutine.wrap(function() while true do a() coroutine.yield() end end)
        while true do b() end""",
    "exit in a loop": "while true do pcall(string.gsub, 'x', 'x', function() while true do end os.exit() end) end",
    "recursion": "local function f() return f() end f()",
    "recursion of two": "local f, g function f() return g() end function g() return f() end f()",
    "recursion in pcall": "local function f() f() end while true do pcall(f) end",
    "recursion through C": "local function f() ('x'):gsub('x', f) end while true do pcall(f) end",
    "recursion of chunks": "local f f = load('local f = ... while true do f(f) end') while true do pcall(f, f) end",
    "chunk that calls itself": "f = load('return f()') f()",
    "load": "load('while true do end')()",
    "load in load": "while true do pcall(load([[load('while true do end')()]])) end",
    "load of many": "while true do load('return 1')() end",
    "load of pieces": "load(function() return ' ' end)",
    "load of pieces of C": "load(function() return (' '):rep(100) end) while true do end",
    "load of a C function": "pcall(load, os.date) while true do end",
    "load with globals": "load('while true do end', 'x', 't', {})()",
    "handler that calls itself": "local function h() xpcall(error, h) end while true do xpcall(error, h) end",
    "coroutine in itself": "local function f() coroutine.wrap(f)() end while true do pcall(f) end",
    "format in itself": "local m = {} m.__tostring = function() return ('%s'):format(setmetatable({}, m)) end while true do pcall(tostring, setmetatable({}, m)) end",
    "sort in itself": "local m = {} m.__lt = function() table.sort { setmetatable({}, m), setmetatable({}, m) } end while true do pcall(table.sort, { setmetatable({}, m), setmetatable({}, m) }) end",
    "long source": "while true do load(('x=1 '):rep(1e5)) end",
    "deep source": "load(('('):rep(1e6)) load(('{'):rep(1e6)) load('return ' .. ('a.'):rep(1e6)) while true do end",
    "index": "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do pcall(function() return t[1] end) end",
    "index in a loop": "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    "newindex": "setmetatable({}, { __newindex = function() while true do end end }).x = 1",
    "call": "setmetatable({}, { __call = function() while true do end end })()",
    "concat": "return setmetatable({}, { __concat = function() while true do end end }) .. 'x'",
    "eq": "local m = { __eq = function() while true do end end } return setmetatable({}, m) == setmetatable({}, m)",
    "lt": "local m = { __lt = function() while true do end end } return setmetatable({}, m) < setmetatable({}, m)",
    "add": "return setmetatable({}, { __add = function() while true do end end }) + 1",
    "tostring": "print(setmetatable({}, { __tostring = function() while true do end end }))",
    "tostring of itself": "local value = setmetatable({}, { __tostring = tostring }) while true do pcall(tostring, value) end",
    "tostring of itself in C": "local value = setmetatable({}, { __tostring = tostring }) while true do pcall(string.format, '%s', value) end",
    "tostring of itself printed": "local value = setmetatable({}, { __tostring = tostring }) while true do pcall(print, value) end",
    "tostring of an error": "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "sort": "table.sort({ 1, 2, 3, 4, 5 }, function() while true do end end)",
    "sort without order": "while true do pcall(table.sort, { 1, 2, 3, 4, 5 }, function() return true end) end",
    "gsub": "('xxxx'):gsub('x', function() while true do end end)",
    "gsub in pcall": "while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
    "gsub of a table": "('xxxx'):gsub('x', setmetatable({}, { __index = function() while true do end end }))",
    "gmatch": "for _ in ('x'):gmatch('') do while true do end end",
    "rep of nothing": "(''):rep(1e15) while true do end",
    "move of nothing": "pcall(table.move, {}, 1, 1e15, 2) while true do end",
    "method": "local s = 'x' function string.f(t) while true do end end s:f()",
    "strings with checks in them": "local s = [[ do end ]] .. ' repeat ' while true do s = 'do' end",
    "name of the check": "local alaska_check0, alaska_check0left = function() return 1e9 end, 1e9 while true do alaska_check0left = 1e9 end",
    "name of the check in a chunk": """
        alaska_check0left, alaska_check0 = 1e9, function() return 1e9 end
        load('local alaska_check0left = 1e9 while true do alaska_check0left = 1e9 end')()""",
    "end of the chunk": "while true do local ok = load('end while true do end do') or load('while true do end') ok() end",
    "json": "local t = {} for i = 1, 40 do t = { t, t } end require('cjson').encode(t)",
    "pretty": "local t = {} for i = 1, 40 do t = { t, t } end require('pl.pretty').write(t)",
    "pretty.load": "require('pl.pretty').load('while true do end')",
    "module": "require 'endless'",
    "module in pcall": "while true do pcall(require, 'endless') end",
    "kilobytes each time": "while true do local s = ('x'):rep(100000) end",
    "tables each time": "while true do local t = { {}, {}, {} } end",
    "closures each time": "while true do local f = function() return f end end",
}
"""Scripts that do not end by themselves."""

ENDLESS_5_4 = {
    "close": "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end",
    "close after an error": """
        while true do
          pcall(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) error() end)
        end""",
    "close of a coroutine": """
        local c = coroutine.create(function()
          local x <close> = setmetatable({}, { __close = function() while true do end end }) coroutine.yield() end)
        coroutine.resume(c) coroutine.close(c) while true do end""",
    "close at the end": """
        local x <close> = setmetatable({}, { __close = function() while true do pcall(error) end end }) error('x')""",
    "integers": "for i = math.mininteger, math.maxinteger do end",
    "goto continue": "while true do do goto continue end ::continue:: end",
    "finalizer": "setmetatable({}, { __gc = function() while true do end end }) while true do local t = {} end",
}
"""The same, for features of Lua 5.4."""

BOMBS = {
    "string.rep": "return ('x'):rep(1e9)",
    "string.rep kept": "local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1e5 + i) end",
    "string.rep in pcall": "local t = {} while true do t[#t + 1] = ('x'):rep(1e6 + #t) end",
    "concatenation": "local s = 'x' while true do s = s .. s end",
    "concatenation of many": "local t = {} for i = 1, 1e7 do t[i] = i .. 'x' end return table.concat(t)",
    "table": "local t = {} for i = 1, 1e9 do t[i] = i end",
    "table of tables": "local t = {} while true do t = { t } end",
    "table of names": "local t = {} for i = 1, 1e9 do t['x' .. i] = true end",
    "global": "n = {} for i = 1, 1e9 do n[#n + 1] = {} end",
    "closures": "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "coroutines": "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
    "gsub": "return (('x'):rep(1e6):gsub('x', ('y'):rep(1000)))",
    "format": "local s, t = ('x'):rep(1e6), {} for i = 1, 90 do t[i] = s end return ('%s'):rep(90):format((table.unpack or unpack)(t))",
    "load": "load('local t = {} while true do t[#t + 1] = {} end' .. (' '):rep(4e6))()",
    "in a coroutine": "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
    "in a comparison": "local t = {} table.sort({ 3, 2, 1 }, function(a, b) while true do t[#t + 1] = {} end end)",
    "json": "return require('cjson').encode({ ('x'):rep(3e7) })",
    "json decoded": "return require('cjson').decode('[' .. ('[],'):rep(5e6) .. '1]')",
}
"""Scripts that need more memory than the limit."""

FLOODS = {
    "print": ("while true do print(('x'):rep(1000)) end", OUTPUT),
    "print in pcall": ("while true do pcall(print, ('x'):rep(1000)) end", OUTPUT),
    "send": ("while true do send('a', 'b') end", SENDS),
    "send in pcall": ("while true do pcall(sendTo, 'a', 'b') end", SENDS),
    "large sends": ("local s = ('x'):rep(1e6) while true do send('a', s) end", SENDS_SIZE),
    "large attachments": ("local s = ('x'):rep(1e6) while true do send('a', '', 'b', s) end", SENDS_SIZE),
}
"""Scripts that print or send too much, with the limit that they exceed."""

ESCAPES = {
    "python": "return python",
    "python in _G": "return rawget(_G, 'python')",
    "python by require": "return pcall(require, 'python')",
    "python loaded": "return package.loaded.python",
    "registry": "return debug.getregistry",
    "upvalues": "return debug.getupvalue",
    "upvalues to set": "return debug.setupvalue",
    "locals": "return debug.getlocal",
    "hooks": "return debug.sethook",
    "any metatable": "return debug.getmetatable",
    "any metatable to set": "return debug.setmetatable",
    "information": "return debug.getinfo",
    "user values": "return debug.getuservalue",
    "globals of C functions": "return getfenv and getfenv(print) ~= _G",
    "globals of the interpreter": "return getfenv and getfenv(0) ~= _G",
    "globals of our functions": "return getfenv and (getfenv(require) ~= _G or getfenv(send) ~= _G)",
    "globals up the stack": """
        if not getfenv then return end
        for level = 1, 20 do local ok, env = pcall(getfenv, level) if ok and env ~= _G then return env end end""",
    "globals to set": "return setfenv and (pcall(setfenv, print, {}) or pcall(setfenv, send, {}) or pcall(setfenv, 0, {}))",
    "io": "return io",
    "io by require": "return pcall(require, 'io')",
    "io loaded": "return package.loaded.io",
    "open": "return (io or {}).open",
    "loadfile": "return loadfile",
    "dofile": "return dofile",
    "execute": "return os.execute",
    "remove": "return os.remove",
    "rename": "return os.rename",
    "tmpname": "return os.tmpname",
    "getenv": "return os.getenv",
    "setlocale": "return os.setlocale",
    "loadlib": "return package.loadlib",
    "searchpath": "return package.searchpath",
    "searchers": "return package.searchers or package.loaders",
    "path of the system": "package.path = '/usr/share/lua/5.4/?.lua;/usr/share/lua/5.1/?.lua' return pcall(require, 'ldoc')",
    "cpath of the system": "package.cpath = '/usr/lib/x86_64-linux-gnu/?.so' return pcall(require, 'libc')",
    "module that is not allowed": "return pcall(require, 'lfs')",
    "module out of the folder": "return pcall(require, '../outside') or pcall(require, '..outside') or pcall(require, '/etc/passwd')",
    "module with a NUL": r"return pcall(require, 'secret\0')",
    "ffi": "return pcall(require, 'ffi')",
    "jit": "return jit and (jit.off or jit.flush or jit.attach)",
    "jit.util": "return pcall(require, 'jit.util') or pcall(require, 'jit.opt')",
    "string.buffer": "return pcall(require, 'string.buffer')",
    "newproxy": "return newproxy",
    "module of 5.1": "return module",
    "dump": "return string.dump or ('').dump",
    "bytecode": r"return load('\27Lua') or load('\27LJ\2') or load('return 1', 'x', 'b')",
    "bytecode in pieces": r"local n = 0 return load(function() n = n + 1 return n == 1 and '\27' or n == 2 and 'LJ' or nil end)",
    "collector": "return pcall(collectgarbage, 'stop') or pcall(collectgarbage, 'setpause', 1) or pcall(collectgarbage, 'generational')",
    "file in a module": "local ok, pretty = pcall(require, 'pl.pretty') return ok and select(2, pcall(pretty.dump, {}, '/tmp/alaska-escape')) == true",
    "metatable of a function": "return getmetatable(print)",
    "metatable of null": "return getmetatable(require('cjson').null)",
    "name of the check": "return alaska_check or alaska_check0 or alaska_check0left",
    "finalizer": "setmetatable({}, { __gc = function() print('late') end }) collectgarbage() return nil",
}
"""Scripts that return a true value if they escape from the sandbox."""
