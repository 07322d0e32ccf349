-- How a script is left through its coroutines, and how questions go up through them: see `limits.leave` and questions.lua.
--
-- os.exit ends the request and not the process, whatever is around it.
local run, questions, leave, patience, resume, trace = ...

local note, frames_of_error = trace.note, trace.of_error
local hand_on = questions.hand_on

local error, type, tonumber, format = error, type, tonumber, string.format
local getinfo, create = debug.getinfo, coroutine.create
local status, close = coroutine.status, coroutine.close

local FEW = 2 -- coroutines that have resumed each other, each of which may have as much to do when the others return
local nested = 0

local leaving = {}

function leaving.begin()
  nested = 0
end

local function returned()
  nested = nested - 1
  if nested >= FEW then
    patience()
  end
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
  run.over, run.touched = 'os.exit was called', true
  run.exit = { text = code ~= 0 and format('%sos.exit(%s) was called', where, code) or nil }
  leave()
end

local function resumed(thread, ...)
  if run.over then
    leave()
  elseif run.question then
    hand_on()
    return resumed(thread, resume(thread))
  end
  returned()
  return ...
end

function leaving.resume(thread, ...)
  if type(thread) ~= 'thread' then
    error(format("bad argument #1 to 'resume' (coroutine expected, got %s)", type(thread)), 2)
  end
  nested = nested + 1
  return resumed(thread, resume(thread, ...))
end

-- The same for coroutine.wrap, which raises what went wrong.
local function unwrapped(thread, ok, ...)
  if run.over then
    leave()
  elseif run.question then
    hand_on()
    return unwrapped(thread, resume(thread))
  end
  returned()
  if ok then
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
    nested = nested + 1
    return unwrapped(thread, resume(thread, ...))
  end
end

return leaving
