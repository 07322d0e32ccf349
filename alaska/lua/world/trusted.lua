-- Adapts the globals for trusted scripts. They have all of Lua's libraries, but calls of the debug library may change
-- the interpreter permanently. Alaska's own functions are hidden from it, because through them a script could reach the
-- real globals and, in LuaJIT, the C interface.
local globals, run, fenv, modules, is_main = ...

local base, libraries = globals.base, globals.libraries
local error, type, setmetatable, select = error, type, setmetatable, select
local find, gmatch, sub = string.find, string.gmatch, string.sub
local getinfo, running = debug.getinfo, coroutine.running

local function is_ours(at)
  return at and find(at.source, '^=%[alaska ')
end

local function is_our_function(value)
  return type(value) == 'function' and is_ours(getinfo(value, 'S'))
end

local harmless = { traceback = true, getinfo = true, gethook = true }
for name, raw in next, debug do
  libraries.debug[name] = harmless[name] and raw or function(...)
    if is_our_function((...)) then
      return nil
    end
    run.unfit = true
    return raw(...)
  end
end

-- Adds one to a level argument, because the replacement function is one more level on the stack.
local function shifted(thread, level, ...)
  if type(thread) == 'number' then
    return thread > 0 and thread + 1 or thread, level, ...
  elseif type(thread) == 'thread' and type(level) == 'number' and level > 0 and thread == running() then
    return thread, level + 1, ...
  end
  return thread, level, ...
end

-- A chunk is compiled as a function inside another one, which stays hidden: getinfo reports the inner function as a
-- main chunk.
function libraries.debug.getinfo(...)
  local at = getinfo(shifted(...))
  if at and at.what == 'Lua' and is_main(at) then
    at.what = 'main'
  end
  return at
end

local raw_join, raw_getlocal, raw_setlocal = debug.upvaluejoin, debug.getlocal, debug.setlocal

function libraries.debug.upvaluejoin(one, number, other, ...)
  if is_our_function(one) or is_our_function(other) then
    error("bad argument #1 to 'upvaluejoin' (a function of Alaska)", 2)
  end
  run.unfit = true
  return raw_join(one, number, other, ...)
end

-- Returns whether the frame or function that getlocal or setlocal refers to is Alaska's own. Called by these two only.
local function is_our_frame(thread, level)
  if type(thread) == 'number' then
    return is_ours(getinfo(thread > 0 and thread + 2 or thread, 'S'))
  elseif type(thread) == 'thread' and type(level) == 'number' then
    local more = level > 0 and thread == running() and 2 or 0
    return is_ours(getinfo(thread, level + more, 'S'))
  end
  return is_our_function(thread) or is_our_function(level)
end

local function same(...)
  return ...
end

-- Wraps getlocal and setlocal so that they ignore Alaska's own frames.
local function for_frames(raw)
  return function(...)
    if is_our_frame(...) then
      return nil
    end
    run.unfit = true
    return same(raw(shifted(...))) -- no tail call: levels are relative to this function
  end
end

libraries.debug.getlocal, libraries.debug.setlocal = for_frames(raw_getlocal), for_frames(raw_setlocal)

if not fenv then
  return
end

local raw_getfenv, raw_setfenv, raw_newproxy, set_level = debug.getfenv, debug.setfenv, newproxy, setfenv

function libraries.debug.getfenv(value)
  local env = raw_getfenv(value)
  return fenv.is_ours(env) and run.env or env
end

function libraries.debug.setfenv(value, env)
  if fenv.is_ours(raw_getfenv(value)) then
    error("'setfenv' cannot change environment of given object", 2)
  end
  run.unfit = true
  return raw_setfenv(value, env)
end

function base.newproxy(...)
  run.finalizers, run.dirty = true, true -- its metatable may get a __gc
  return raw_newproxy(...)
end

-- Creates a module as in Lua 5.1: a global table that is in package.loaded and becomes the globals of the caller.
function base.module(name, ...)
  local module = run.loaded[name]
  if type(module) ~= 'table' then
    module = run.env
    for word in gmatch(name, '[^.]+') do
      if module[word] == nil then
        module[word] = {}
      elseif type(module[word]) ~= 'table' then
        error("name conflict for module '" .. name .. "'", 2)
      end
      module = module[word]
    end
    run.loaded[name] = module
  end
  local last_dot = find(name, '%.[^.]*$')
  if module._NAME == nil then
    module._M, module._NAME, module._PACKAGE = module, name, last_dot and sub(name, 1, last_dot) or ''
  end
  set_level(2, module)
  for i = 1, select('#', ...) do
    select(i, ...)(module)
  end
end

function modules.seeall(module)
  setmetatable(module, { __index = run.env })
end
