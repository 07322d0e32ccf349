-- Limits of a run: time, memory, printed and logged output, number and size of messages.
--
-- A run that exceeds a limit fails, whatever errors its script catches: `run.ended_by` holds the error, which every
-- later check, print and send raises again, and `run.limit` the name of the setting.
--
-- `clock` is the exact clock, `quick` the fast one (clock.lua).
local run, settings, clock, quick = ...

local error, find, floor, format, pcall, time = error, string.find, math.floor, string.format, pcall, os.time
local isyieldable, running, yield = coroutine.isyieldable, coroutine.running, coroutine.yield
local getmetatable, newproxy, setmetatable = getmetatable, newproxy, setmetatable
local getinfo, gethook, sethook = debug.getinfo, debug.gethook, debug.sethook
local collect, count, huge, max, min = collectgarbage, collectgarbage, math.huge, math.max, math.min

-- Weight of code that runs between two readings of the clock (weights: instrument.lua). It is lowered when code turns
-- out to be slow, or when much memory is in use, because a single operator may process all of it.
local FIRST, MAX, LEAST = 1024, 8192, 8
local TICK = 128 -- weight of a part of a long expression
local SHORT, LONG = 0.001, 0.005 -- seconds: target range of the time between two readings
local SMALL = 1024 -- kilobytes of memory below which no single operator is slow

local timeout = settings.timeout / 1000
local memory = settings.memory * 1024 -- kilobytes, 0 for no limit
local base = 0 -- kilobytes in use after startup, before any script
local keep = memory > 0 and math.min(memory / 4, 2048) or 2048 -- kilobytes of garbage that may remain after a run
local collects_late = not coroutine.close -- LuaJIT does not collect garbage before it reports lack of memory

local limits = { clock = clock, quick = quick }

-- Returns the current position in the script as Lua writes it ("file:line: "), or an empty string.
local function where()
  local level = 2
  while true do
    local at = getinfo(level, 'Sl')
    if not at or level == 250 then -- deeper levels take too long to look up
      return ''
    elseif at.currentline > 0 and not find(at.short_src, '^%[alaska ') then
      return format('%s:%d: ', at.short_src, at.currentline)
    end
    level = level + 1
  end
end

-- Ends the script: by a yield, which no pcall can catch, or by an error where a yield is impossible. Once
-- `run.ended_by` is set, the functions that resume the script's coroutines call this as well.
local function end_script()
  if isyieldable() then
    yield()
  end
  error(run.ended_by, 0)
end

limits.end_script = end_script

local function add_position(text)
  run.ended_by = where() .. text
  run.trace = run.tracer(nil)
end

-- Returns the error text for a limit. It is created in advance, because there may be no stack left when it is needed.
function limits.text(setting, what, ...)
  return format(what, ...) .. ', the limit that ' .. setting .. ' sets'
end

local is_ending = false -- while the position is looked up, which the hook must not interrupt

-- Ends the run because it exceeded a limit.
function limits.exceed(setting, text)
  if not run.ended_by then
    run.ended_by, run.limit, run.dirty, is_ending = text, setting, true, true
    pcall(add_position, text)
    is_ending = false
  end
  end_script()
end

local exceed = limits.exceed

-- Number of printed and logged lines

local LINES = 'worker/scripts/lines'
local most_lines = settings.lines
local too_many_lines = limits.text(LINES, 'the script prints and logs more than %d lines', most_lines)
local lines = 0

-- Counts the line ends in a text.
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
local CANCEL_INTERVAL = 0.1 -- seconds between two questions whether the run is cancelled
local too_long = limits.text(TIMEOUT, 'the script ran longer than %d ms', settings.timeout)

-- Time

local deadline, last, second, budget
local cancel_check_at -- time by the fast clock of the next question whether the run is cancelled
local left = FIRST -- remaining weight before the next reading of the clock
local most, has_grown = MAX, false

-- What a function does after a call returns passes no check, and very many functions may wait for the same call. So in
-- Lua 5.4 the depth of calls is limited, and while a coroutine is deep, a hook checks the time. With much memory in
-- use, a coroutine counts as deep earlier, because what each function does may be slow. Each garbage collection calls
-- the hook once, because memory may grow between two checks.
local MAX_DEPTH = 20000 -- levels of calls
local DEEP, LEAST_DEEP = 200, 16 -- levels from which on there is a hook, with little and with much memory in use
local SELDOM, OFTEN = 1000, 10 -- instructions between two calls of the hook; fewer where they turn out to be slow
local RETRY, MAX_RETRIES = 50, 20 -- the same within functions of Alaska, and the number of these calls
local SELDOM_SMALL = 8 -- megabytes of memory above which there are fewer instructions
local deep, seldom, interval, retries = DEEP, SELDOM, SELDOM, 0
local check_in_hook

-- Captures the countdown variable, so that chunks can share it (chunks.lua).
function limits.countdown()
  return left
end

-- A finalizer runs at each garbage collection. It triggers a check, which adjusts the budget to the memory in use.
--
-- Where no stack is left for a finalizer, Lua 5.4 drops it. So the next reading of the clock makes another if `notices`
-- is empty. It is also empty for a moment before a finalizer runs.
local notices, of_notice = { true }, {}

if newproxy then
  local notice = newproxy(true)
  getmetatable(notice).__gc = function()
    left, has_grown = 0, true
    newproxy(notice)
  end
  newproxy(notice)
else
  function of_notice.__gc(notice)
    left, has_grown = 0, true
    notices[1] = notices[1] or setmetatable(notice, of_notice) -- the same object once more: this needs no memory
    local _, is_main = running()
    if timeout > 0 and not is_main then
      sethook(check_in_hook, '', 1)
    end
  end
  notices[1] = setmetatable({}, of_notice)
  setmetatable(notices, { __mode = 'v' })
end

local function adapt_to_memory()
  local more = (count 'count' - base) / SMALL
  more = more > 1 and more or 1
  most, has_grown = max(floor(MAX / more ^ 1.5), LEAST), false
  deep = max(floor(DEEP / more), LEAST_DEEP)
  seldom = min(floor(SELDOM * SELDOM_SMALL / more), SELDOM)
  interval = min(interval, seldom)
  if not notices[1] then
    notices[1] = setmetatable({}, of_notice)
  end
end

-- In LuaJIT, garbage can fill the memory limit. So it is collected earlier, in full cycles, before the limit is
-- reached.
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

local function check_clock(now)
  local spent = last and now - last or LONG
  if spent < SHORT then
    budget = budget * 2 < most and budget * 2 or most
    -- The fast clock is reliable here, unless a C function slept.
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
    run.dirty = true
  elseif seen >= deadline then
    exceed(TIMEOUT, too_long)
  end
  last, second = now, time() -- assigned last: with little stack left, the code above may fail half-way
  if collects_late and memory > 0 and count 'count' > collect_above then
    collect_garbage()
  end
  return budget
end

-- The hook. It does not interrupt functions of Alaska, because they may be about to change their state. Those that do
-- not return soon check the time themselves, so the hook is removed; the next check of the script sets it again.
function check_in_hook()
  if is_ending then
    return
  elseif run.ended_by then
    sethook(check_in_hook, '', 1) -- even if the script catches the error, it can do nothing more
    error(run.ended_by, 0)
  elseif find(getinfo(2, 'S').short_src, '^%[alaska ') then
    retries = retries < MAX_RETRIES and retries + 1 or 0
    if retries == 0 then
      sethook()
    else
      sethook(check_in_hook, '', RETRY)
    end
    return
  end
  retries = 0
  if has_grown or not notices[1] then
    adapt_to_memory()
  end
  local now = quick()
  local spent = last and now - last or 0
  interval = spent > LONG and max(floor(interval * LONG / spent), OFTEN) or min(interval * 2, seldom)
  local _, _, current = gethook()
  if not getinfo(deep, 'l') then
    sethook()
  elseif interval ~= current then -- sethook takes long in deep coroutines
    sethook(check_in_hook, '', interval)
  end
  left = -1 -- in case of an error
  left = check_clock(now)
end

local function check_depth()
  local hook, _, inherited = gethook()
  if not hook then
    if getinfo(deep, 'l') then
      sethook(check_in_hook, '', interval)
    elseif inherited then -- a new coroutine has the hook of the one that creates it, but without a function
      sethook()
    end
  elseif getinfo(MAX_DEPTH, 'l') then
    error(where() .. 'stack overflow', 0)
  end
end

-- Called by Alaska's own chunks when the countdown is used up. Returns the new countdown.
local function check_own()
  if run.ended_by then
    end_script()
  end
  if has_grown or not notices[1] then
    adapt_to_memory()
  end
  local now = quick()
  if run.pending_since then
    now = limits.deliver_if_due(now)
  end
  if run.has_progress then
    limits.deliver_progress()
    now = quick()
  end
  if not cancel_check_at then
    cancel_check_at = now + CANCEL_INTERVAL
  elseif now >= cancel_check_at then
    cancel_check_at = now + CANCEL_INTERVAL
    limits.check_cancelled()
    now = quick()
  end
  return check_clock(now)
end

-- The same for chunks of scripts.
local function check()
  if not newproxy and not run.ended_by then
    check_depth()
  end
  return check_own()
end

-- Called by Alaska's own Lua files where they work on behalf of a script. Nil without a time limit.
limits.check, limits.check_own = timeout > 0 and check or nil, check_own

function limits.check_time()
  if timeout > 0 then
    left = check_own()
  end
end

-- Lets the next check ask whether the run is cancelled.
function limits.check_cancelled_soon()
  cancel_check_at = 0
end

-- Counts part of a long expression and returns its argument. Inserted around an operand.
function limits.tick(value)
  left = left - TICK
  if left < 0 then
    left = check_own()
  end
  return value
end

-- Resets the limits for the next run. The time starts at the first reading of the clock, so that short scripts need no
-- reading.
function limits.begin()
  cancel_check_at = nil
  deadline, last, budget, left, lines = nil, nil, FIRST, FIRST, 0
  interval, retries = seldom, 0
  run.ended_by, run.limit, run.trace = nil, nil, nil
end

limits.begin()

-- Memory

local MEMORY = 'worker/scripts/memory'
local too_little_memory = limits.text(MEMORY, 'not enough memory: the script needs more than %d MB', settings.memory)

-- The second collection frees the objects whose finalizers the first one called.
local function collect_twice()
  collect()
  return collect_garbage()
end

-- Returns how many octets of memory the run may still allocate.
function limits.free_octets()
  if memory == 0 then
    return huge
  end
  local left = (base + memory - count 'count') * 1024
  return left < memory * 512 and (base + memory - collect_garbage()) * 1024 or left
end

-- Ends the run because of lack of memory, before an allocation fails.
function limits.short_of_memory()
  run.unfit = true
  exceed(MEMORY, too_little_memory)
end

-- Returns the error text for a script that Lua ended because of lack of memory.
function limits.out_of_memory(where)
  run.limit = MEMORY
  return where .. too_little_memory
end

-- Collects garbage after a run that left much of it. Returns the new threshold for the next collection, in kilobytes.
function limits.collect_after_run()
  local kept = collect_twice()
  -- The next request needs room for its context, because setting the context is not protected against lack of memory.
  if memory > 0 and kept > base + memory / 2 then
    run.unfit = true
  end
  return kept + keep
end

-- Called once after startup. Returns the first threshold, like `collect_after_run`.
function limits.finish_startup()
  base = collect_twice()
  return base + keep
end

return limits
