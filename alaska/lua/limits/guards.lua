-- Keeps recursion through functions of C within the stack of C. Lua 5.4 counts these calls itself; LuaJIT does not, and
-- a script that calls itself out of string.gsub would end the process. So in LuaJIT the functions that call back are
-- counted here, and refuse what is too deep as Lua 5.4 does.
local run, note = ...

local error, pcall, select, type, xpcall = error, pcall, select, type, xpcall
local gsub, sort, format, resume = string.gsub, table.sort, string.format, coroutine.resume

local MOST = 180 -- each may take 9 kB, and a thread may have no more than 2 MB

local depth = 0
local guards = {}

function guards.begin()
  depth = 0
end

local function enter()
  if depth >= MOST then
    error('C stack overflow', 3)
  end
  depth = depth + 1
  run.touched = true
end

local function left(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  error((...), 0)
end

-- Not `note` itself, which takes more than an error.
local function noted(value)
  return note(value)
end

local function guarded(call, ...)
  enter()
  return left(xpcall(call, noted, ...))
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

-- Only a table has a __tostring that format would call.
function guards.format(...)
  for i = 2, select('#', ...) do
    if type((select(i, ...))) == 'table' then
      return guarded(format, ...)
    end
  end
  return format(...)
end

-- An error in a handler would call the handler again, and so on, as long as there is stack.
local function handled(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  return 'error in error handling'
end

-- What is called may yield and never come back, so it is not counted; its handler cannot.
function guards.xpcall(call, handler, ...)
  if type(handler) ~= 'function' then
    return xpcall(call, handler, ...)
  end
  return xpcall(call, function(...)
    if depth >= MOST then
      return 'error in error handling'
    end
    depth = depth + 1
    run.touched = true
    return handled(pcall(handler, ...))
  end, ...)
end

local function resumed(...)
  depth = depth - 1
  return ...
end

-- Resumes a coroutine, as deep as others may call back.
function guards.resume(...)
  if depth >= MOST then
    return false, 'C stack overflow'
  end
  depth = depth + 1
  run.touched = true
  return resumed(resume(...))
end

return guards
