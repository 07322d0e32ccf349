-- Limits recursion through C functions. Lua 5.4 counts nested C calls itself. LuaJIT does not: a script that calls
-- itself from string.gsub would overflow the C stack and crash the process. So for LuaJIT, the functions that call back
-- into Lua count their depth here and raise the same error as Lua 5.4.
local run, record = ...

local error, pcall, select, type, xpcall = error, pcall, select, type, xpcall
local gsub, sort, format, resume = string.gsub, table.sort, string.format, coroutine.resume

local MAX = 180 -- nested calls: each uses up to 9 kB, and a thread's stack may be only 2 MB

local depth = 0
local guards = {}

function guards.begin()
  depth = 0
end

local function enter_guard()
  if depth >= MAX then
    error('C stack overflow', 3)
  end
  depth = depth + 1
  run.dirty = true
end

local function leave_guard(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  error((...), 0)
end

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

local function guarded(call, ...)
  enter_guard()
  return leave_guard(xpcall(call, record_error, ...))
end

function guards.gsub(text, pattern, replacement, ...)
  local kind = type(replacement)
  if kind == 'function' or kind == 'table' then
    return guarded(gsub, text, pattern, replacement, ...)
  end
  return gsub(text, pattern, replacement, ...)
end

function guards.sort(...)
  return guarded(sort, ...)
end

-- string.format calls back only for the __tostring of a table.
function guards.format(...)
  for i = 2, select('#', ...) do
    if type((select(i, ...))) == 'table' then
      return guarded(format, ...)
    end
  end
  return format(...)
end

-- An error in a message handler calls the handler again, until the stack is full.
local function leave_handler(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  return 'error in error handling'
end

-- The called function is not counted, because it may yield and never return. The handler is counted, because it cannot
-- yield.
function guards.xpcall(call, handler, ...)
  if type(handler) ~= 'function' then
    return xpcall(call, handler, ...)
  end
  return xpcall(call, function(...)
    if depth >= MAX then
      return 'error in error handling'
    end
    depth = depth + 1
    run.dirty = true
    return leave_handler(pcall(handler, ...))
  end, ...)
end

local function leave_resume(...)
  depth = depth - 1
  return ...
end

-- Resumes a coroutine; nested resumes count towards the same depth limit.
function guards.resume(...)
  if depth >= MAX then
    return false, 'C stack overflow'
  end
  depth = depth + 1
  run.dirty = true
  return leave_resume(resume(...))
end

return guards
