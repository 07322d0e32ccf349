-- getfenv and setfenv for LuaJIT. C functions and Alaska's own functions have globals that scripts must not reach. For
-- these, getfenv returns the script's globals instead, and setfenv fails.
local run, globals, real_globals, private = ...

local error, floor, format, getinfo, rawequal, tonumber, type =
  error, math.floor, string.format, debug.getinfo, rawequal, tonumber, type
local MAX_LEVEL = 10000
local raw_getfenv, raw_setfenv = getfenv, setfenv

local fenv = {}

function fenv.is_ours(env)
  return rawequal(env, real_globals) or rawequal(env, private)
end

local is_ours = fenv.is_ours

-- Checks the first argument and converts a level for the real functions, which are called one level deeper. An error
-- gets the position of the caller.
local function level_or_function(value, name)
  local level = type(value) ~= 'function' and tonumber(value)
  if level and level >= 0 and level <= MAX_LEVEL then
    level = floor(level)
    if level == 0 or getinfo(level + 2, 'l') then
      return level == 0 and 0 or level + 1
    end
  elseif type(value) == 'function' then
    return value
  end
  error(format("bad argument #1 to '%s' (a function or a level is expected)", name), 3)
end

function globals.base.getfenv(value)
  value = level_or_function(value == nil and 1 or value, 'getfenv')
  if value == 0 then
    return run.env
  end
  local env = raw_getfenv(value)
  return is_ours(env) and run.env or env
end

function globals.base.setfenv(value, env)
  value = level_or_function(value, 'setfenv')
  if type(env) ~= 'table' then
    error(format("bad argument #2 to 'setfenv' (table expected, got %s)", type(env)), 2)
  elseif value == 0 or is_ours(raw_getfenv(value)) then
    error("'setfenv' cannot change environment of given object", 2)
  end
  local changed = raw_setfenv(value, env)
  return changed
end

return fenv
