-- What a module of the system sees in the sandbox, beside the globals of the script that requires it.
--
-- Such modules are written for all of Lua. What they use of it to look, is there: who has called, what a function's
-- globals are. What they would reach files or programs with is an error that says so. A script gets at all this as well,
-- through functions whose globals it asks for: it reaches nothing but its own run.
local run, console, is_main = ...

local error, type, next, select, setmetatable = error, type, next, select, setmetatable
local rawequal, rawget, rawset, get_metatable = rawequal, rawget, rawset, debug.getmetatable
local find, floor, format, unpack = string.find, math.floor, string.format, table.unpack
local getinfo, getupvalue, setupvalue, upvaluejoin =
  debug.getinfo, debug.getupvalue, debug.setupvalue, debug.upvaluejoin

local function refuse(name)
  return function()
    error(format('%s is not there in the sandbox, which keeps scripts from files and programs (worker/scripts/sandbox)',
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

local MOST_LEVEL, MOST_VARIABLES = 1e6, 255

-- Returns the number of a variable, 0 if it can be none.
local function index_of(number)
  return type(number) == 'number' and number >= 1 and number <= MOST_VARIABLES and floor(number) or 0
end

local library = {}

-- Tells of a function, or of who has called so many levels up, what is of use to who looks for a place or for globals.
function library.getinfo(value, ...)
  local what = ...
  if type(value) == 'number' and value >= 0 and value < MOST_LEVEL then
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

-- Of the variables that a function has from outside, only its globals are shown.
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

-- Gives a function a variable for its globals that it shares with no other; what the variable holds is set next.
library.upvaluejoin = globals_only(function(value, number)
  local _, env = getupvalue(value, number)
  upvaluejoin(value, number, function() return env end, 1)
end)

-- There are no hooks in the sandbox, so none is set, and none is restored.
function library.gethook()
  return nil
end

function library.sethook() end

-- Takes the methods of strings away and gives them back, which pl.pretty does while it reads. The next run sets them anew.
function library.setmetatable(value, metatable)
  local stripped = run.stripped
  if type(value) ~= 'string' then
    error('debug.setmetatable is there for strings only in the sandbox (worker/scripts/sandbox)', 2)
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

-- io: the three standard files, which scripts that are trusted have as well. Whoever reads finds the end of the input.

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

-- Returns why a module cannot work in the sandbox, if it is known not to.
function system.refusal(name)
  return needs_files[name] and format("the module '%s' works with files, and there are none in the sandbox "
    .. '(worker/scripts/sandbox)', name) or nil
end

-- To these, _G is what they change; to others, where they find all of Lua.
local changes_globals = { pl = true, ['pl.strict'] = true, ['pl.utils'] = true }

-- Returns the globals of a module of this name that is required by a script with these globals.
function system.globals(env, name)
  local seen = { io = make_io() }
  seen.os = refusing('os', 'execute getenv remove rename tmpname setlocale')
  local os, debug = rawget(env, 'os'), rawget(env, 'debug') -- the script may have put anything there
  for key, value in next, type(os) == 'table' and os or {} do
    seen.os[key] = value
  end
  seen.debug = { traceback = type(debug) == 'table' and rawget(debug, 'traceback') or nil }
  for key, value in next, library do
    seen.debug[key] = value
  end
  seen._G = changes_globals[name] and env or seen
  if name == 'pl.lapp' and rawget(env, 'arg') == nil then
    rawset(env, 'arg', { [0] = run.script.path }) -- the command line, which it reads: that of a script has no arguments
  end
  function seen.require(wanted)
    if wanted == 'debug' or wanted == 'io' or wanted == 'os' then
      return seen[wanted]
    end
    local require = rawget(env, 'require') -- the script's, which may have another by now
    if type(require) ~= 'function' then
      error("there is no function 'require' any more", 2)
    end
    return require(wanted) -- a tail call: an error is told to be where the module calls
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
