-- The start of every random program: it inspects the results of calls and the arguments of callbacks.
--
-- The values that a program may have are its own, those of its initial globals, and results of calls. Any other value
-- that a metamethod or callback receives is private to Alaska and is reported, as are texts that contain data of
-- another request or internals of Alaska.
local G, alaska, cjson, safe, pretty = _G, alaska, require 'cjson', require 'cjson.safe', require 'pl.pretty'
local seen = require 'lua_seen' -- the globals of system modules
local error, find, getmetatable, next, pcall, rawget, select, setmetatable, sub, tostring, type =
  error, string.find, getmetatable, next, pcall, rawget, select, setmetatable, string.sub, tostring, type
local rep, create, resume, wrap, yield, exit, mail = string.rep, coroutine.create, coroutine.resume, coroutine.wrap,
  coroutine.yield, os.exit, sendTo
local F = {} -- name -> function, as it was at the start
local R, results = {}, 0 -- the latest results of calls
local MOST, DEEPEST = 40, 4
local known, calls = {}, 0

local function report(what, text)
  mail('FOUND', what .. ': ' .. sub(tostring(text), 1, 300))
end

local function inspect(name, value, depth)
  local kind = type(value)
  if kind == 'string' then
    if #value < 10000 and (find(value, 'CANARY', 1, true) or find(value, '[alaska ', 1, true)
      and not find(value, 'stack overflow', 1, true)) then
      report(name, value)
    end
  elseif kind ~= 'nil' and kind ~= 'boolean' and kind ~= 'number' and not known[value] then
    known[value] = true
    if kind == 'table' and depth < DEEPEST then
      local count = 0
      for key, item in next, value do
        count = count + 1
        if count > 200 then
          break
        end
        inspect(name, key, depth + 1)
        inspect(name, item, depth + 1)
      end
      inspect(name, getmetatable(value), depth + 1)
    end
  end
end

local function given(name, ...)
  for i = 1, select('#', ...) do
    local value = (select(i, ...))
    local kind = type(value)
    if kind == 'string' then
      inspect(name, value, 0)
    elseif kind ~= 'nil' and kind ~= 'boolean' and kind ~= 'number' and kind ~= 'cdata' and not known[value] then
      report('private ' .. kind, name)
    end
  end
end

local function keep(name, is_good, ...)
  for i = 1, select('#', ...) do
    if i > 10 then
      break
    end
    local value = (select(i, ...))
    inspect(name, value, 0)
    results = results + 1
    R[results % MOST + 1] = value
  end
  return ...
end

local function try(name, call, ...)
  return keep(name, pcall(call, ...))
end

local function own(value)
  if value ~= nil then
    known[value] = true
  end
  return value
end

-- Returns a callback with a behaviour that callers may not expect.
local function callback(what, value)
  return own(function(...)
    given('callback', ...)
    calls = calls + 1
    if calls > 2000 then
      return value
    elseif what == 'raise' then
      error(value)
    elseif what == 'yield' then
      return yield(value)
    elseif what == 'exit' then
      exit(value)
    elseif what == 'first' then
      return (...)
    elseif what == 'all' then
      return ...
    elseif what == 'pcall' then
      return pcall(value, ...)
    elseif what == 'loop' then
      while true do
      end
    elseif what == 'memory' then
      local t = {}
      while true do
        t[#t + 1] = rep('y', 100000)
      end
    elseif what == 'set' then
      G.string.format, G.tostring, G.string.find = value, value, value
      return value
    end
    return value
  end)
end

local events = { '__index', '__newindex', '__call', '__tostring', '__name', '__metatable', '__eq', '__lt', '__le', '__len',
  '__concat', '__unm', '__add', '__gc', '__close', '__mode', '__pairs', '__ipairs', '__idiv', '__band' }

-- Returns a table with all metamethods; every fourth one is `odd`.
local function full(table, usual, odd, first)
  local metatable = own {}
  for i = 1, #events do
    if (i + first) % 3 ~= 0 then
      metatable[events[i]] = (i + first) % 4 == 0 and odd or usual
      if events[i] == '__call' then -- a __call that is not a function makes C loop; only ending the process stops it
        metatable.__call = type(usual) == 'function' and usual or nil
      end
    end
  end
  own(table)
  local ok, made = pcall(setmetatable, table, metatable)
  return ok and made or table
end

local function deep(depth, last)
  local value = own { last }
  for _ = 1, depth do
    value = own { value }
  end
  return value
end

local function cyclic()
  local value = own {}
  value.value, value[1] = value, value
  return value
end

local function thread(body, is_begun)
  local made = own(create(body))
  if is_begun then
    pcall(resume, made)
  end
  return made
end

local function learn(value)
  if type(value) ~= 'table' and type(value) ~= 'function' and type(value) ~= 'userdata' or known[value] then
    return
  end
  known[value] = true
  if type(value) == 'table' then
    for key, item in next, value do
      inspect('globals', key, DEEPEST)
      learn(item)
      inspect('globals', item, DEEPEST)
    end
    learn(getmetatable(value))
  end
end

learn(G)
learn(alaska)
learn(cjson)
learn(safe)
learn(pretty)
learn(seen)
for _, file in next, { seen.io.stdin, seen.io.stdout, seen.io.stderr } do
  own(file)
end
learn(getmetatable '')
own((coroutine.running()))

for name in string.gmatch(NAMES, '%S+') do
  local value, rest = string.find(name, '^io%.') and seen or G, name
  for module, loaded in next, { ['cjson'] = cjson, ['cjson.safe'] = safe, ['pl.pretty'] = pretty } do
    local of_module = string.match(name, '^' .. module .. '%.([%w_]+)$')
    if of_module then
      value, rest = loaded, of_module
    end
  end
  for word in string.gmatch(rest, '[^.:]+') do
    value = value[word] or seen[rest:match '^%w+'][word]
  end
  F[name] = own(value)
end
