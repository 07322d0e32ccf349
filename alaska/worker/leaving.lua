-- What goes up through the coroutines of a script to who runs it, by a yield, which no pcall catches.
--
-- os.exit ends the request and not the process, whatever is around it: it yields EXIT. What asks the worker for
-- something yields CALL and what it wants, and goes on with the answer.
local run, EXIT, CALL, raw_leave, resume, trace = ...

local note, frames_of_error = trace.note, trace.of_error

local error, type, tonumber, format, rawequal = error, type, tonumber, string.format, rawequal
local getinfo = debug.getinfo
local isyieldable, yield, create = coroutine.isyieldable, coroutine.yield, coroutine.create
local status, close = coroutine.status, coroutine.close

local leaving = {}

local function leave()
  -- Where this is an error, a pcall may catch EXIT, and keep something in it.
  run.odd = run.odd or not isyieldable()
  raw_leave()
end

function leaving.exit(code)
  if run.over then
    leave()
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
  run.over, run.exit = EXIT, { text = code ~= 0 and format('%sos.exit(%s) was called', where, code) or nil }
  leave()
end

-- Hands on what a coroutine asks the worker for, and returns the answer.
local function ask(...)
  if not isyieldable() then
    return false, 'there is no answer: the coroutine that waits for it was resumed by table.sort, string.gsub or a C module'
  end
  return yield(...)
end

-- A coroutine that yields EXIT or CALL does so to the one that resumed it, which has to do the same.
local function resumed(thread, ok, ...)
  local first = ...
  if rawequal(first, EXIT) then
    leave()
  elseif rawequal(first, CALL) then
    return resumed(thread, resume(thread, ask(...)))
  end
  return ok, ...
end

function leaving.resume(thread, ...)
  return resumed(thread, resume(thread, ...))
end

-- The same for coroutine.wrap, which raises what went wrong.
local function unwrapped(thread, ok, ...)
  local first = ...
  if rawequal(first, EXIT) then
    leave()
  elseif rawequal(first, CALL) then
    return unwrapped(thread, resume(thread, ask(...)))
  elseif ok then
    return ...
  end
  local value = ...
  local frames = frames_of_error(value, thread) -- before it is closed
  if close and status(thread) == 'dead' then
    local is_closed, latest = close(thread)
    value = is_closed and value or latest
  end
  if type(value) == 'string' then
    local at = getinfo(2, 'Sl')
    value = (at and at.currentline > 0 and format('%s:%d: ', at.short_src, at.currentline) or '') .. value
  end
  error(note(value, frames), 0)
end

function leaving.wrap(body)
  if type(body) ~= 'function' then
    error("bad argument #1 to 'wrap' (function expected)", 2)
  end
  local thread = create(body)
  return function(...)
    return unwrapped(thread, resume(thread, ...))
  end
end

return leaving
