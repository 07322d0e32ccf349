-- What a run may use of time, output and messages. One that uses more fails, whatever its script catches: `run.over`
-- is what every further check, print and send raises, and `run.limit` tells the setting.
--
-- `clock` tells the time, in a hurry `quick` does.
local run, settings, clock, quick = ...

local error, find, floor, format, pcall, time = error, string.find, math.floor, string.format, pcall, os.time
local isyieldable, yield = coroutine.isyieldable, coroutine.yield
local getmetatable, newproxy, setmetatable = getmetatable, newproxy, setmetatable
local getinfo, gethook, sethook = debug.getinfo, debug.gethook, debug.sethook
local collect, count, huge, max = collectgarbage, collectgarbage, math.huge, math.max

-- How much is done between two looks at the clock, as instrument.lua counts it: less where it takes long, or where there
-- is much memory, for an operator may have to do with all of that.
local FIRST, MOST, LEAST = 1024, 8192, 8
local SHORT, LONG = 0.001, 0.005 -- seconds between two looks
local SMALL = 1024 -- kilobytes: with no more, nothing takes long

local timeout = settings.timeout / 1000
local memory = settings.memory * 1024 -- kilobytes, 0 for no limit
local base = 0 -- kilobytes that our parts have
local keep = memory > 0 and math.min(memory / 4, 2048) or 2048 -- kilobytes of garbage that a run may leave behind
local collects_late = not coroutine.close -- LuaJIT does not collect garbage when memory is short

local limits = { clock = clock, quick = quick }

-- Returns the place in the script that is being run, as Lua writes it.
local function where()
  local level = 2
  while true do
    local at = getinfo(level, 'Sl')
    if not at or level == 250 then -- deeper, what is looked for takes too long
      return ''
    elseif at.currentline > 0 and not find(at.short_src, '^%[alaska ') then
      return format('%s:%d: ', at.short_src, at.currentline)
    end
    level = level + 1
  end
end

-- Leaves the script: by a yield, which nothing catches, or where that cannot be, by an error. Who resumes coroutines
-- of the script leaves as well, whatever comes out of them, once `run.over` is set.
local function leave()
  if isyieldable() then
    yield()
  end
  error(run.over, 0)
end

limits.leave = leave

local function tell_where(text)
  run.over = where() .. text
  run.trace = run.tracer(nil)
end

-- Returns the text of the error for a limit. It is made beforehand: when it is needed there may be no stack left.
function limits.text(setting, what, ...)
  return format(what, ...) .. ', the limit that ' .. setting .. ' sets'
end

-- Ends the run for a limit.
function limits.exceed(setting, text)
  if not run.over then
    run.over, run.limit, run.touched = text, setting, true
    pcall(tell_where, text)
  end
  leave()
end

local exceed = limits.exceed

-- Lines that are printed or logged

local LINES = 'worker/scripts/lines'
local most_lines = settings.lines
local too_many_lines = limits.text(LINES, 'the script prints and logs more than %d lines', most_lines)
local lines = 0

-- Counts the lines that end in a text.
function limits.count_lines(text)
  local at, length = find(text, '\n', 1, true), #text
  while at do
    lines = lines + 1
    if lines > most_lines and most_lines > 0 then
      exceed(LINES, too_many_lines)
    end
    at = at < length and find(text, '\n', at + 1, true)
  end
end

local TIMEOUT = 'worker/scripts/timeout'
local too_long = limits.text(TIMEOUT, 'the script ran longer than %d ms', settings.timeout)

-- Time

local deadline, last, second, budget
local left = FIRST -- of what may be done
local most, has_grown = MOST, false

-- Chunks count in the variable that this function has.
function limits.countdown()
  return left
end

-- Memory that has grown is noticed when Lua collects garbage.
if newproxy then
  local notice = newproxy(true)
  getmetatable(notice).__gc = function()
    left, has_grown = 0, true
    newproxy(notice)
  end
  newproxy(notice)
else
  local metatable = {}
  function metatable.__gc()
    left, has_grown = 0, true
    setmetatable({}, metatable)
  end
  setmetatable({}, metatable)
end

local function look_at_memory()
  local more = (count 'count' - base) / SMALL
  most, has_grown = more > 1 and max(floor(MOST / more ^ 1.5), LEAST) or MOST, false
end

-- In LuaJIT, garbage can fill the memory that a script may use: it is collected sooner, all at once, and before it does.
local collect_above = 0

if collects_late and memory > 0 then
  collect('setpause', 150)
  collect('setstepmul', 1000000)
end

local function collect_garbage()
  collect()
  local used = count 'count'
  collect_above = used + (base + memory - used) * 0.6
  return used
end

-- What is left to do when functions return passes no check, and there may be very many that wait for others. So there is
-- an end of these, and where there are many, the time is looked at after so many instructions as well.
local DEEP, DEEPEST, INSTRUCTIONS = 1000, 20000, 1000
local check

local function look_meanwhile()
  if run.over then
    sethook(look_meanwhile, '', 1) -- whatever catches it: nothing more is done
    error(run.over, 0)
  end
  left = check()
end

local function look_at_depth()
  if getinfo(DEEPEST, 'l') then
    error(where() .. 'stack overflow', 0)
  elseif not gethook() then
    sethook(look_meanwhile, '', INSTRUCTIONS)
  end
end

-- A chunk calls this when it has done as much as it might; returns how much it may do now.
function check()
  if run.over then
    leave()
  end
  if not newproxy and getinfo(DEEP, 'l') then
    look_at_depth()
  end
  if has_grown then
    look_at_memory()
  end
  local now = quick()
  if run.waits then
    now = limits.look_at_waiting(now)
  end
  local spent = last and now - last or LONG
  if spent < SHORT then
    budget = budget * 2 < most and budget * 2 or most
    -- Nothing can have been missed, unless a C function slept.
    if time() == second then
      return budget
    end
  elseif spent > LONG then
    budget = max(floor(budget * LONG / spent), 1)
  end
  budget = budget < most and budget or most
  local seen = clock()
  if not deadline then
    deadline = seen + timeout
    run.touched = true
  elseif seen >= deadline then
    exceed(TIMEOUT, too_long)
  end
  last, second = now, time() -- not before: where the stack is short, all of this may fail half-way
  if collects_late and memory > 0 and count 'count' > collect_above then
    collect_garbage()
  end
  return budget
end

-- Called where our own parts do a script's work; nil if the time is not limited.
limits.check = timeout > 0 and check or nil

function limits.patience()
  if timeout > 0 then
    left = check()
  end
end

-- Returns its argument: stands around an operand where much is done in one expression.
function limits.tick(value)
  left = check()
  return value
end

-- Gets ready for another run: its time begins with the first look at the clock, since short scripts should not pay
-- for one.
function limits.begin()
  deadline, last, budget, left, lines = nil, nil, FIRST, FIRST, 0
  run.over, run.limit, run.trace = nil, nil, nil
end

limits.begin()

-- Memory

local MEMORY = 'worker/scripts/memory'
local too_little_memory = limits.text(MEMORY, 'not enough memory: the script needs more than %d MB', settings.memory)

-- A second collection gets what the finalizers that the first one calls let go of.
local function collect_twice()
  collect()
  return collect_garbage()
end

-- Returns how many octets of memory a run may still take.
function limits.room()
  if memory == 0 then
    return huge
  end
  local left = (base + memory - count 'count') * 1024
  return left < memory * 512 and (base + memory - collect_garbage()) * 1024 or left
end

-- Ends the run for want of memory, before Lua does.
function limits.short_of_memory()
  run.odd = true
  exceed(MEMORY, too_little_memory)
end

-- Returns the error's text for a script that Lua has ended.
function limits.out_of_memory(where)
  run.limit = MEMORY
  return where .. too_little_memory
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
