-- Ending a script from inside its coroutines, and passing questions up through them: see `limits.end_script` and
-- questions.lua.
--
-- os.exit ends the request, not the process, no matter which coroutine or pcall it is called in.
local run, questions, end_script, check_time, resume, trace = ...

local record, frames_of_error = trace.record, trace.of_error
local pass_on = questions.pass_on

local error, type, tonumber, format = error, type, tonumber, string.format
local getinfo, create = debug.getinfo, coroutine.create
local status, close = coroutine.status, coroutine.close

-- Functions of each resumed coroutine may have much work left after their callees return, without a time check. So with
-- more nested coroutines than this, the time is checked whenever one of them yields or returns.
local MAX_NESTED = 2
local nested = 0

local coroutines = {}

function coroutines.begin()
  nested = 0
end

local function leave_coroutine()
  nested = nested - 1
  if nested >= MAX_NESTED then
    check_time()
  end
end

function coroutines.exit(code)
  if run.ended_by then
    end_script()
  end
  if code == nil or code == true then
    code = 0
  elseif code == false then
    code = 1
  else
    code = tonumber(code) or error(format("bad argument #1 to 'exit' (number expected, got %s)", type(code)), 2)
  end
  local at = getinfo(2, 'Sl')
  local where = at and at.currentline > 0 and format('%s:%d: ', at.short_src, at.currentline) or ''
  run.ended_by, run.dirty = 'os.exit was called', true
  run.exit = { text = code ~= 0 and format('%sos.exit(%s) was called', where, code) or nil }
  end_script()
end

local function after_resume(thread, ...)
  if run.ended_by then
    end_script()
  elseif run.question then
    pass_on()
    return after_resume(thread, resume(thread))
  end
  leave_coroutine()
  return ...
end

function coroutines.resume(thread, ...)
  if type(thread) ~= 'thread' then
    error(format("bad argument #1 to 'resume' (coroutine expected, got %s)", type(thread)), 2)
  end
  nested = nested + 1
  return after_resume(thread, resume(thread, ...))
end

-- The same for coroutine.wrap, which raises the coroutine's error.
local function after_call(thread, ok, ...)
  if run.ended_by then
    end_script()
  elseif run.question then
    pass_on()
    return after_call(thread, resume(thread))
  end
  leave_coroutine()
  if ok then
    return ...
  end
  local value = ...
  local frames = frames_of_error(value, thread) -- must be read before the coroutine is closed
  if close and status(thread) == 'dead' then
    local is_closed, latest = close(thread)
    value = is_closed and value or latest
  end
  if type(value) == 'string' then
    local at = getinfo(2, 'Sl')
    value = (at and at.currentline > 0 and format('%s:%d: ', at.short_src, at.currentline) or '') .. value
  end
  error(record(value, frames), 0)
end

function coroutines.wrap(body)
  if type(body) ~= 'function' then
    error("bad argument #1 to 'wrap' (function expected)", 2)
  end
  local thread = create(body)
  return function(...)
    nested = nested + 1
    return after_call(thread, resume(thread, ...))
  end
end

return coroutines
