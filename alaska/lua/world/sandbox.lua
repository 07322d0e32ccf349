-- Removes from the globals of untrusted scripts everything that is not named here.
local globals, _, _, _, _, limits = ...

local base, libraries = globals.base, globals.libraries
local error, type, select, next, pcall, tostring = error, type, select, next, pcall
local getmetatable, setmetatable, rawget, rawset = getmetatable, setmetatable, rawget, rawset
local gmatch, gsub, format, sub = string.gmatch, string.gsub, string.format, string.sub
local count, traceback, tonumber = collectgarbage, debug.traceback, tonumber
local MAX_LEVEL = 2 ^ 30

local function keep(given, names)
  local kept = {}
  for name in gmatch(names, '%S+') do
    kept[name] = given[name]
  end
  for name in next, given do
    given[name] = kept[name]
  end
end

-- None of these gives access to files, programs, environment variables, precompiled code or the upvalues of functions.
keep(base, '_VERSION assert collectgarbage error getfenv getmetatable ipairs load loadstring next pairs pcall print '
  .. 'rawequal rawget rawlen rawset require select send sendFor sendTo setfenv setmetatable tonumber tostring type unpack '
  .. 'warn xpcall')
keep(libraries, 'string table math utf8 os coroutine debug bit jit')
keep(libraries.os, 'clock date difftime exit time')
keep(libraries.debug, 'traceback')
libraries.string.dump = nil

local get_string_metatable = base.getmetatable

-- The metatables of other types are shared by all runs.
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

-- Finalizers are disabled, because they could run during another request. An object gets one only if its metatable has
-- a __gc at the time of setmetatable.
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
  if finalizer ~= nil then -- false counts as well: it marks the object, and a function could replace it later
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

-- The garbage collector belongs to the worker. Scripts that call it may believe that it ran.
function base.collectgarbage(option)
  if option == 'count' then
    return count 'count'
  elseif option == nil or option == 'collect' or option == 'step' then
    return 0
  end
  error(format("bad argument #1 to 'collectgarbage' (only 'count' is for scripts in the sandbox, not '%s')",
    type(option) == 'string' and option or type(option)), 2)
end

-- Shows only lines of files that are not Alaska's own. Checks the time, because a deep stack or a long message is slow.
function libraries.debug.traceback(...)
  limits.check_time()
  local thread, message, level = ...
  local has_thread = type(thread) == 'thread'
  if not has_thread then
    message, level = ...
  end
  if message ~= nil and type(message) ~= 'string' and type(message) ~= 'number' then
    return message
  end
  local first = level == nil and (has_thread and 0 or 1) or tonumber(level)
  if not first or first % 1 ~= 0 or first < -MAX_LEVEL or first > MAX_LEVEL then
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
