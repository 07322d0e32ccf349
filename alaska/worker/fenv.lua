-- getfenv and setfenv of LuaJIT, for all scripts: functions of C and our own have globals that are none of a script's
-- business, so it sees its own instead.
local run, globals, true_globals, private = ...

local error, rawequal, type = error, rawequal, type
local raw_getfenv, raw_setfenv = getfenv, setfenv

local fenv = {}

function fenv.is_ours(env)
  return rawequal(env, true_globals) or rawequal(env, private)
end

local is_ours = fenv.is_ours

-- The functions below are one level more than what they replace.
local function level_or_function(value)
  return type(value) == 'number' and value > 0 and value + 1 or value
end

function globals.base.getfenv(value)
  if value == 0 then
    return run.env
  end
  local env = raw_getfenv(level_or_function(value == nil and 1 or value))
  return is_ours(env) and run.env or env
end

function globals.base.setfenv(value, env)
  value = level_or_function(value)
  if value == 0 or is_ours(raw_getfenv(value)) then
    error("'setfenv' cannot change environment of given object", 2)
  end
  local changed = raw_setfenv(value, env)
  return changed
end

return fenv
