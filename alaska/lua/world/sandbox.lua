-- What is left of the globals for scripts that are not trusted: what is named here, and nothing else.
local globals, _, _, _, _, limits = ...

local base, libraries = globals.base, globals.libraries
local error, type, select, next, pcall, tostring = error, type, select, next, pcall
local getmetatable, setmetatable, rawget, rawset = getmetatable, setmetatable, rawget, rawset
local gmatch, gsub, format, sub = string.gmatch, string.gsub, string.format, string.sub
local count, traceback, tonumber = collectgarbage, debug.traceback, tonumber
local MOST_LEVEL = 2 ^ 30

local function keep(given, names)
  local kept = {}
  for name in gmatch(names, '%S+') do
    kept[name] = given[name]
  end
  for name in next, given do
    given[name] = kept[name]
  end
end

-- Files, programs, the environment, precompiled code and the insides of functions are not reached from these.
keep(base, '_VERSION assert collectgarbage error getfenv getmetatable ipairs load loadstring next pairs pcall print '
  .. 'rawequal rawget rawlen rawset require select send sendFor sendTo setfenv setmetatable tonumber tostring type unpack '
  .. 'warn xpcall')
keep(libraries, 'string table math utf8 os coroutine debug bit jit')
keep(libraries.os, 'clock date difftime exit time')
keep(libraries.debug, 'traceback')
libraries.string.dump = nil

local get_string_metatable = base.getmetatable

-- What is no table and no string has a metatable that all runs share, if any.
function base.getmetatable(...)
  local kind = type((...))
  if kind == 'string' then
    return get_string_metatable(...)
  elseif kind == 'table' then
    return getmetatable(...)
  elseif select('#', ...) == 0 then
    error("bad argument #1 to 'getmetatable' (value expected)", 2)
  end
  return nil
end

-- There are no finalizers: they would run in the request of somebody else. An object gets one only if its metatable
-- has a __gc when it is set.
function base.setmetatable(value, metatable)
  local finalizer = nil
  if type(value) ~= 'table' then
    error(format("bad argument #1 to 'setmetatable' (table expected, got %s)", type(value)), 2)
  elseif type(metatable) == 'table' then
    finalizer = rawget(metatable, '__gc')
  elseif metatable ~= nil then
    error(format("bad argument #2 to 'setmetatable' (nil or table expected, got %s)", type(metatable)), 2)
  end
  if finalizer == nil and getmetatable(value) == nil then
    return setmetatable(value, metatable)
  end
  if finalizer ~= nil then -- false is one as well: the object is marked, and a function may take its place
    rawset(metatable, '__gc', nil)
  end
  local ok, message = pcall(setmetatable, value, metatable)
  if finalizer ~= nil then
    rawset(metatable, '__gc', finalizer)
  end
  if not ok then
    error(message, 2)
  end
  return value
end

-- The collector is the worker's; scripts that ask it to work may go on as if it had.
function base.collectgarbage(option)
  if option == 'count' then
    return count 'count'
  elseif option == nil or option == 'collect' or option == 'step' then
    return 0
  end
  error(format("bad argument #1 to 'collectgarbage' (only 'count' is for scripts in the sandbox, not '%s')",
    type(option) == 'string' and option or type(option)), 2)
end

-- Shows the lines of Lua files that are not ours. A deep stack takes long, and so does a long message.
function libraries.debug.traceback(...)
  limits.patience()
  local thread, message, level = ...
  local has_thread = type(thread) == 'thread'
  if not has_thread then
    message, level = ...
  end
  if message ~= nil and type(message) ~= 'string' and type(message) ~= 'number' then
    return message
  end
  local first = level == nil and (has_thread and 0 or 1) or tonumber(level)
  if not first or first % 1 ~= 0 or first < -MOST_LEVEL or first > MOST_LEVEL then
    error(format("bad argument #%d to 'traceback' (a level is expected)", has_thread and 3 or 2), 2)
  end
  local text
  if has_thread then
    text = traceback(thread, '', first)
  else
    text = traceback('', first + 1)
  end
  text = gsub(text, '\n\t%[alaska [^\n]*', '')
  return message == nil and sub(text, 2) or message .. text
end
