-- What a run may use of time, output and messages. One that uses more fails, whatever its script catches: `run.over`
-- is what every further check, print and send raises, and `run.limit` tells the setting.
local run, settings, clock = ...

local error, find, format = error, string.find, string.format
local getinfo, collect, count = debug.getinfo, collectgarbage, collectgarbage

-- How many checks pass between two looks at the clock: few at first, more while they pass quickly.
local FIRST, MOST = 200, 12800
local SHORT, LONG = 0.001, 0.02 -- seconds between two looks

local timeout = settings.timeout / 1000
local memory = settings.memory * 1024 -- kilobytes, 0 for no limit
local base = 0 -- kilobytes that our parts have
local keep = memory > 0 and math.min(memory / 4, 4096) or 4096 -- kilobytes of garbage that a run may leave behind
local collects_late = not coroutine.close -- LuaJIT does not collect garbage when memory is short

local limits = { first = FIRST }

-- Returns the place in the script that is being run, as Lua writes it.
local function where()
  local level = 2
  while true do
    local at = getinfo(level, 'Sl')
    if not at then
      return ''
    elseif at.currentline > 0 and not find(at.short_src, '^%[alaska ') then
      return format('%s:%d: ', at.short_src, at.currentline)
    end
    level = level + 1
  end
end

-- Ends the run for a limit; `setting` is its name, and `...` completes the text.
function limits.exceed(setting, text, ...)
  if not run.over then
    run.touched = true
    run.limit = setting
    run.over = where() .. format(text, ...) .. ', the limit that ' .. setting .. ' sets'
    run.trace = run.tracer(nil)
  end
  error(run.over, 0)
end

local exceed = limits.exceed

-- Time

local deadline, last, budget

-- In LuaJIT, garbage can fill the memory that a script may use: it is collected before it does.
local collect_above = 0

local function collect_garbage()
  collect()
  local used = count 'count'
  collect_above = used + (base + memory - used) * 0.6
  return used
end

-- A chunk calls this when it has passed as many checks as it might; returns how many it may pass now.
local function check()
  if run.over then
    error(run.over, 0)
  end
  local now = clock()
  if not deadline then
    deadline, last, run.touched = now + timeout, now, true
    return budget
  elseif now >= deadline then
    exceed('worker/scripts/timeout', 'the script ran longer than %d ms', settings.timeout)
  end
  local spent = now - last
  last = now
  if spent < SHORT then
    budget = budget < MOST and budget * 2 or MOST
  elseif spent > LONG then
    budget = budget > 4 and (budget - budget % 4) / 4 or 1
  end
  if collects_late and spent >= SHORT and memory > 0 and count 'count' > collect_above then
    collect_garbage()
  end
  return budget
end

-- Called where our own parts do a script's work; nil if the time is not limited.
limits.check = timeout > 0 and check or nil

function limits.patience()
  if timeout > 0 then
    check()
  end
end

-- Gets ready for another run: its time begins with the first look at the clock, since short scripts should not pay
-- for one.
function limits.begin()
  deadline, budget = nil, FIRST
  run.over, run.limit, run.trace = nil, nil, nil
end

limits.begin()

-- Memory

-- A second collection gets what the finalizers that the first one calls let go of.
local function collect_twice()
  collect()
  return collect_garbage()
end

-- Called when a run has let go of all that it had, and there is much garbage; returns how much may be there in future.
function limits.tidy()
  local kept = collect_twice()
  -- The next request must find room for itself, since handing it over is not guarded.
  if memory > 0 and kept > base + memory / 2 then
    run.odd = true
  end
  return kept + keep
end

-- Called when all parts are there; returns the same.
function limits.settle()
  base = collect_twice()
  return base + keep
end

return limits
