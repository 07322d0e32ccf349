-- The globals of scripts: Lua's own functions and libraries, where everything that could affect other runs is replaced.
-- `base` has the functions, `libraries` the libraries. Each run gets copies.
local run, settings, console, messages, modules, coroutines, guards, make_tables, record, check_time = ...

local error, pcall, rawget, tonumber, type = error, pcall, rawget, tonumber, type
local getmetatable, setmetatable = getmetatable, setmetatable
local raw_debug, raw_collectgarbage, raw_randomseed = debug, collectgarbage, math.randomseed
local gsub, rep, byte, unpack_octets = string.gsub, string.rep, string.byte, string.unpack
local open = io.open
local random_takes_two = math.type ~= nil

local function copy(library)
  local new = {}
  for name, value in next, library do
    new[name] = value
  end
  return new
end

local base = {}
for name, value in next, _G do
  if type(value) ~= 'table' then
    base[name] = value
  end
end
base.print, base.warn = console.print, console.warn
base.send, base.sendTo, base.sendFor = messages.send, messages.sendTo, messages.sendFor
base.load, base.loadfile, base.dofile, base.require = modules.load, modules.loadfile, modules.dofile, modules.require
base.loadstring = loadstring and modules.loadstring

local libraries = {
  string = copy(string),
  table = copy(table),
  math = copy(math),
  utf8 = copy(utf8),
  io = console.io,
  os = copy(os),
  coroutine = copy(coroutine),
  debug = copy(debug),
  bit = bit,
  -- Read-only facts about LuaJIT. The functions that control the compiler would affect later runs.
  jit = jit and { version = jit.version, version_num = jit.version_num, os = jit.os, arch = jit.arch },
}

libraries.string.format = number_format
if guards then
  base.xpcall = guards.xpcall
  libraries.string.gsub, libraries.string.format, libraries.table.sort = guards.gsub, guards.format, guards.sort
end

-- Scripts that set no metatable get the C functions, which are faster.
local plain_table = copy(libraries.table)
for name, value in next, make_tables(copy(plain_table), record, check_time) do
  libraries.table[name] = value
end
plain_table.sort, plain_table.move = libraries.table.sort, libraries.table.move

local join, MAX_JOINED = plain_table.concat, 2 ^ 16

-- Most lists are short, and C joins them at once.
function plain_table.concat(t, ...)
  local separator, first, last = ...
  if type(t) == 'table' and #t <= MAX_JOINED and first == nil and last == nil then
    local is_good, text = pcall(join, t, separator)
    if is_good then
      return text
    end
  end
  return libraries.table.concat(t, ...)
end
if guards then
  plain_table.insert = libraries.table.insert
end

libraries.os.exit = coroutines.exit
libraries.os.execute = console.blocking(libraries.os.execute)
libraries.coroutine.resume, libraries.coroutine.wrap = coroutines.resume, coroutines.wrap

-- C functions that loop without end for certain arguments.

-- Returns the result of a pcall, or raises its error at the position where the script called the function.
local function results_or_error(name, ok, ...)
  if ok then
    return ...
  end
  local value = ...
  if type(value) ~= 'string' then -- error of a metamethod
    error(value, 0)
  end
  error((gsub(value, "to '[^']*'", "to '" .. name .. "'", 1)), 3)
end

local MAX_OCTETS = 2 ^ 31

-- The C functions accept numeric strings.
local function as_number(value)
  return type(value) == 'string' and tonumber(value) or value
end

function libraries.string.rep(text, times, ...)
  times = as_number(times)
  if text == '' and (... == nil or ... == '') and type(times) == 'number' then
    return ''
  elseif type(text) == 'string' and type(times) == 'number' and times % 1 == 0 and times > -MAX_OCTETS
    and times < MAX_OCTETS and #text * times < MAX_OCTETS and ... == nil then
    return rep(text, times)
  end
  local result = results_or_error('rep', pcall(rep, text, times, ...))
  return result
end

-- LuaJIT's tostring calls __tostring as a tail call, so a __tostring that is tostring itself would loop without end.
-- This version uses the stack, so it ends with a stack overflow.
if guards then
  local tostring, select = console.tostring, select

  function base.tostring(...)
    if select('#', ...) == 0 then
      error("bad argument #1 to 'tostring' (value expected)", 2)
    end
    local text = tostring((...))
    return text
  end
end

-- LuaJIT's os.time calls __index from C. If __index calls os.time again, the C stack overflows. So the fields are read
-- in Lua.
if guards then
  local time = os.time

  local function plain_date(given)
    return { year = given.year, month = given.month, day = given.day, hour = given.hour, min = given.min,
      sec = given.sec, isdst = given.isdst }
  end

  function libraries.os.time(given)
    if type(given) == 'table' then
      local is_good, date = pcall(plain_date, given)
      if not is_good then
        error(type(date) == 'string' and gsub(date, '^%[alaska [^%]]*%]:%d+: ', '') or date, 0)
      end
      given = date
    end
    local seconds = results_or_error('time', pcall(time, given))
    return seconds
  end
end

local globals = { base = base, libraries = libraries, plain_table = plain_table }

-- Metatables

-- All strings share one metatable. The original, `string_metatable`, is never exposed: a script that asks for it gets a
-- copy, which is installed until the run ends. The metatable of files is also exposed as a copy, for comparisons only.
local string_metatable = getmetatable ''
local is_copy_in_force = false
local copy_for_files

globals.string_metatable = string_metatable

local function show_string_metatable()
  if not is_copy_in_force then
    raw_debug.setmetatable('', copy(string_metatable))
    is_copy_in_force, run.dirty = true, true
  end
  return getmetatable ''
end

local function show_file_metatable()
  if not copy_for_files then
    run.dirty = true
    copy_for_files = copy(console.file_metatable)
    copy_for_files.__index = copy(console.file_metatable.__index)
  end
  return copy_for_files
end

function base.getmetatable(...)
  local value = ...
  local kind = type(value)
  if kind == 'string' then
    return show_string_metatable()
  elseif kind ~= 'table' and kind ~= 'nil' then
    if kind == 'userdata' and console.io.type(value) then
      return show_file_metatable()
    end
    run.unfit = run.unfit or getmetatable(value) ~= nil -- a C module's metatable, which all runs share
  end
  return getmetatable(...)
end

function base.setmetatable(value, metatable, ...)
  if type(metatable) == 'table' and rawget(metatable, '__gc') ~= nil then
    run.finalizers, run.dirty = true, true
  end
  return setmetatable(value, metatable, ...)
end

-- Functions with lasting effects on the interpreter

local harmless = { collect = true, count = true, step = true, isrunning = true }

function base.collectgarbage(option, ...)
  if option ~= nil and not harmless[option] then
    run.unfit = true
  end
  return raw_collectgarbage(option, ...)
end

-- Each run that uses `math` gets a seed from the operating system, so that the random numbers of one run reveal nothing
-- about those of another.
local system_seeds = open '/dev/urandom'
if system_seeds then
  system_seeds:setvbuf 'no' -- each read takes only the octets that it needs
end
local read = system_seeds and system_seeds.read

function globals.seed()
  local octets = system_seeds and read(system_seeds, 16)
  if octets and random_takes_two then
    raw_randomseed(unpack_octets('<i8i8', octets))
  elseif octets then
    local a, b, c, d, e, f = byte(octets, 1, 6)
    raw_randomseed(((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f)
  else
    raw_randomseed(settings.seed % 2 ^ 48)
    run.unfit = true -- discard the interpreter: the next one has another seed
  end
end

-- The locale belongs to the process, and the format of numbers depends on it.
function libraries.os.setlocale(locale)
  if locale == nil or locale == '' or locale == 'C' or locale == 'POSIX' then
    return 'C'
  end
  return nil
end

-- Reverts the changes of a run to values that all runs share.
function globals.restore()
  if is_copy_in_force then
    raw_debug.setmetatable('', string_metatable)
    is_copy_in_force = false
  end
  copy_for_files = nil
end

return globals
