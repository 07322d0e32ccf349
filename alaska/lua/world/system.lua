-- The globals of system modules in the sandbox, in addition to the globals of the script that requires them.
--
-- System modules are written for all of Lua. Functions that only inspect (callers, globals of functions) are available.
-- Functions that would reach files or programs raise an error that says so. A script can get these functions too,
-- through functions of such modules; they reach nothing outside its own run.
local run, console, is_main = ...

local error, type, next, select, setmetatable = error, type, next, select, setmetatable
local rawequal, rawget, rawset, get_metatable = rawequal, rawget, rawset, debug.getmetatable
local find, floor, format, unpack = string.find, math.floor, string.format, table.unpack
local getinfo, getupvalue, setupvalue, upvaluejoin =
  debug.getinfo, debug.getupvalue, debug.setupvalue, debug.upvaluejoin

local function refuse(name)
  return function()
    error(format('%s is not available in the sandbox, which has no files and programs (worker/scripts/sandbox)',
      name), 2)
  end
end

local function refusing(library, names)
  local new = {}
  for name in string.gmatch(names, '%S+') do
    new[name] = refuse(library .. '.' .. name)
  end
  return new
end

-- debug

local function is_of_a_file(value)
  local at = type(value) == 'function' and getinfo(value, 'S')
  return at and at.what ~= 'C' and not find(at.source, '^=%[alaska ')
end

local MAX_LEVEL, MAX_VARIABLES = 1e6, 255

-- Returns the index of an upvalue, or 0 if the argument is not a valid one.
local function index_of(number)
  return type(number) == 'number' and number >= 1 and number <= MAX_VARIABLES and floor(number) or 0
end

local library = {}

-- Returns the position and the function of a stack level or function, for callers that look for a position or for
-- globals.
function library.getinfo(value, ...)
  local what = ...
  if type(value) == 'number' and value >= 0 and value < MAX_LEVEL then
    value = floor(value) + 1
  elseif type(value) == 'number' then
    return nil
  elseif type(value) ~= 'function' then
    error("bad argument #1 to 'getinfo' (function or level expected)", 2)
  end
  local at = getinfo(value, 'Slnf')
  if not at then
    return nil
  end
  if not is_of_a_file(at.func) then
    return { what = 'C', short_src = '[C]', source = '=[C]', currentline = -1, linedefined = -1, lastlinedefined = -1 }
  end
  at.what = at.what == 'Lua' and is_main(at) and 'main' or at.what
  if type(what) == 'string' and not find(what, 'f', 1, true) then
    at.func = nil
  end
  return at
end

-- Of the upvalues of a function, only its globals are visible.
function library.getupvalue(value, number)
  if not is_of_a_file(value) then
    return nil
  end
  local name, found = getupvalue(value, index_of(number))
  if name == '_ENV' then
    return name, found
  end
  return name and '(hidden)' or nil
end

local function globals_only(change)
  return function(value, number, ...)
    number = index_of(number)
    if is_of_a_file(value) and getupvalue(value, number) == '_ENV' then
      return change(value, number, ...)
    end
    return nil
  end
end

library.setupvalue = globals_only(function(value, number, env)
  return type(env) == 'table' and setupvalue(value, number, env) or nil
end)

-- Gives a function its own upvalue for its globals, shared with no other function. Callers then set its value.
library.upvaluejoin = globals_only(function(value, number)
  local _, env = getupvalue(value, number)
  upvaluejoin(value, number, function() return env end, 1)
end)

-- There are no hooks in the sandbox.
function library.gethook()
  return nil
end

function library.sethook() end

-- Removes the methods of strings and restores them, as pl.pretty does while it reads. The next run resets them.
function library.setmetatable(value, metatable)
  local stripped = run.stripped
  if type(value) ~= 'string' then
    error('debug.setmetatable works for strings only in the sandbox (worker/scripts/sandbox)', 2)
  elseif metatable == nil and not stripped then
    local of_strings = get_metatable ''
    run.stripped = { metatable = of_strings, methods = rawget(of_strings, '__index') }
    rawset(of_strings, '__index', nil)
  elseif metatable ~= nil and stripped then
    rawset(stripped.metatable, '__index', stripped.methods)
    run.stripped = nil
  end
  return value
end

-- io: the three standard files, as trusted scripts have them. Standard input is empty.

local standard = { console.io.stdin, console.io.stdout, console.io.stderr }

local function is_standard(value)
  return rawequal(value, standard[1]) or rawequal(value, standard[2]) or rawequal(value, standard[3])
end

local refused_lines = refuse 'io.lines'

local function lines(name, ...)
  if name == nil then
    return console.io.lines(nil, ...)
  end
  return refused_lines()
end

local function make_io()
  local io = refusing('io', 'open popen input output tmpfile close')
  io.stdin, io.stdout, io.stderr = unpack(standard)
  io.read, io.write, io.type, io.lines = console.io.read, console.io.write, console.io.type, lines
  return io
end

local system = {}

local needs_files = { ['pl.app'] = true, ['pl.dir'] = true, ['pl.file'] = true, ['pl.path'] = true, ['pl.test'] = true }

-- Returns the reason if a module is known not to work in the sandbox, else nil.
function system.refusal(name)
  return needs_files[name] and format("the module '%s' works with files, and there are none in the sandbox "
    .. '(worker/scripts/sandbox)', name) or nil
end

-- Modules that change the script's globals through _G. For all others, _G contains all that system modules can use.
local changes_globals = { pl = true, ['pl.strict'] = true, ['pl.utils'] = true }

-- Returns the globals for the system module `name`, required by a script whose globals are `env`.
function system.globals(env, name)
  local seen = { io = make_io() }
  seen.os = refusing('os', 'execute getenv remove rename tmpname setlocale')
  local os, debug = rawget(env, 'os'), rawget(env, 'debug') -- the script may have replaced these
  for key, value in next, type(os) == 'table' and os or {} do
    seen.os[key] = value
  end
  seen.debug = { traceback = type(debug) == 'table' and rawget(debug, 'traceback') or nil }
  for key, value in next, library do
    seen.debug[key] = value
  end
  seen._G = changes_globals[name] and env or seen
  if name == 'pl.lapp' and rawget(env, 'arg') == nil then
    rawset(env, 'arg', { [0] = run.script.path }) -- pl.lapp reads the command line; that of a script has no arguments
  end
  function seen.require(wanted)
    if wanted == 'debug' or wanted == 'io' or wanted == 'os' then
      return seen[wanted]
    end
    local require = rawget(env, 'require') -- the script may have replaced it
    if type(require) ~= 'function' then
      error("there is no function 'require' any more", 2)
    end
    return require(wanted) -- a tail call, so that an error gets the position in the module
  end
  local file_metatable, get = {}, rawget(env, 'getmetatable')
  function seen.getmetatable(...)
    local value = ...
    if is_standard(value) then
      return file_metatable
    elseif select('#', ...) == 0 then
      error("bad argument #1 to 'getmetatable' (value expected)", 2)
    end
    return get(value)
  end
  return setmetatable(seen, { __index = env, __newindex = env })
end

return system
