
local seen, count, found, tables = {}, 0, {}, {}
local getmetatable, getupvalue, getinfo, getlocal = debug.getmetatable, debug.getupvalue, debug.getinfo, debug.getlocal
local strange = { as_attrgetter = true, POBJECT = true, Py_None = true, _CLIBS = true, getregistry = true }
local walk
local function walk_frame(thread, level, path)
  local info = getinfo(thread, level, 'f')
  if not info then return false end
  walk(info.func, path)
  for i = -20, 200 do
    local name, value = getlocal(thread, level, i)
    if name then walk(value, path .. name) end
  end
  return true
end
function walk(value, path)
  local kind = type(value)
  if value == nil or kind == 'string' or kind == 'number' or kind == 'boolean' or seen[value] then return end
  seen[value] = true
  count = count + 1
  local metatable = getmetatable(value)
  if metatable and rawget(metatable, '__name') == 'POBJECT' then found[#found + 1] = path end
  walk(metatable, path .. '<metatable>')
  if kind == 'table' then
    tables[#tables + 1] = value
    if rawget(value, '_G') == value and not rawget(value, 'debug') then found[#found + 1] = path .. '=true' end
    for key, item in next, value do
      if strange[key] then found[#found + 1] = path .. '.' .. key end
      walk(key, path .. '<key>')
      walk(item, path .. '.' .. tostring(key))
    end
  elseif kind == 'function' then
    for i = 1, 255 do
      local name, item = getupvalue(value, i)
      if not name then break end
      walk(item, path .. '^' .. name)
    end
  elseif kind == 'userdata' then
    if debug.getuservalue then walk(debug.getuservalue(value, 1), path .. '<user value>') end
  elseif kind == 'thread' then
    local level = 0
    while walk_frame(value, level, path .. '@' .. level) do level = level + 1 end
  end
end
seen[strange], seen[seen], seen[found], seen[tables] = true, true, true, true
walk(_G, '_G')
walk(coroutine.running(), 'this')
walk(getmetatable(''), 'strings')
setmetatable({}, { __gc = function() walk(coroutine.running(), 'main') end })
collectgarbage()
print(count, table.concat(found, ' '))

local setmetatable, pcall, rawset = setmetatable, pcall, rawset
for _, t in ipairs(tables) do
  if t ~= _G then
    pcall(setmetatable, t, { __index = function() error('broken') end, __newindex = function() error('broken') end })
    for key in next, t do rawset(t, key, nil) end
  end
end
