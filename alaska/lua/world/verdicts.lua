-- alaska.retry, alaska.snooze and alaska.reject: a script ends its run, and says what is to become of its request.
--
-- Like os.exit, they end the run from inside any coroutine and pcall (limits.lua).
local run, limits, sending = ...

local error, format, sub, type = error, string.format, string.sub, type
local as_text = sending.as_text

local MOST = 30 * 86400 -- seconds
local LEAST_SNOOZE = 0.1 -- seconds: a request that is put off costs no attempt, so it must not come back at once
local MOST_WHY = 32 * 1024 -- octets of a reason; the rest is cut off

local function check_seconds(value, least, call)
  if type(value) ~= 'number' or not (value >= least and value <= MOST) then
    error(format("bad argument #1 to '%s' (a number of seconds from %s to %d, which is 30 days, is expected)", call,
      least .. '', MOST), 3)
  end
  return format('%.6f', value)
end

local function check_why(value, position, call)
  value = value == nil and '' or as_text(value, position, 'reason', call, nil, 3)
  return #value > MOST_WHY and sub(value, 1, MOST_WHY) or value
end

-- Ends the run. What needs memory comes first: once `run.ended_by` is set, the script cannot go on.
local function finish(kind, seconds, why)
  if run.ended_by then
    limits.end_script()
  end
  local text, exit = 'alaska.' .. kind .. ' was called', {}
  sending.verdict(kind, seconds, why)
  run.ended_by, run.exit, run.dirty = text, exit, true
  limits.end_script()
end

local verdicts = {}

function verdicts.retry(seconds, why)
  local text = seconds == nil and '' or check_seconds(seconds, 0, 'retry')
  finish('retry', text, check_why(why, 2, 'retry'))
end

function verdicts.snooze(seconds)
  finish('snooze', check_seconds(seconds, LEAST_SNOOZE, 'snooze'), '')
end

function verdicts.reject(why)
  finish('reject', '', check_why(why, 1, 'reject'))
end

return verdicts
