-- Makes text of error values: of strings and of what has a __tostring as Lua would, of tables something like JSON.
local metatable_of = ...

local type, rawget, tostring, next = type, rawget, tostring, next
local create, resume = coroutine.create, coroutine.resume
local concat, sort = table.concat, table.sort
local byte, format, gsub, sub = string.byte, string.format, string.gsub, string.sub
local math_type = math.type or function() end

local DEPTH = 4 -- levels of tables that are shown
local ITEMS = 50 -- how much of one table is shown
local OCTETS = 200 -- how much of one string is shown
local ALL = 2000 -- how much text all of it may be
local TABLES, KEYS = 100, 1000 -- how many tables, and keys of one, are looked at: no check of the time ends that

local function quoted(text)
  if #text > OCTETS then
    text = sub(text, 1, OCTETS) .. '...'
  end
  local escaped = gsub(text, '[%c"\\]', function(character)
    return character == '\n' and '\\n' or character == '\t' and '\\t' or character == '"' and '\\"'
      or character == '\\' and '\\\\' or format('\\u%04x', byte(character))
  end)
  return '"' .. escaped .. '"'
end

local function number_text(value)
  return math_type(value) == 'integer' and format('%d', value) or format('%.14g', value)
end

local show

local function precedes(one, other)
  if type(one) ~= type(other) then
    return type(one) == 'number'
  end
  if type(one) == 'string' then
    return sub(one, 1, OCTETS) < sub(other, 1, OCTETS)
  end
  return one < other
end

-- Returns the keys of a table that can be shown, in order, and whether that is all of them.
local function keys_of(value)
  local keys, looked = {}, 0
  for key in next, value do
    looked = looked + 1
    if #keys == ITEMS or looked > KEYS then
      return keys, false
    elseif type(key) == 'string' or type(key) == 'number' then
      keys[#keys + 1] = key
    end
  end
  sort(keys, precedes)
  return keys, true
end

local function show_table(value, depth, above, room)
  room.tables = room.tables - 1
  if above[value] then
    return '<cycle>'
  elseif room.tables < 0 then
    return '{...}'
  elseif depth == 0 then
    return next(value) == nil and '{}' or '{...}'
  end
  above[value] = true
  local keys, is_all = keys_of(value)
  local is_list = is_all and #keys > 0
  for i = 1, #keys do
    is_list = is_list and keys[i] == i
  end
  local items = {}
  for i = 1, #keys do
    local key = keys[i]
    local name = type(key) == 'string' and quoted(key) or '"' .. number_text(key) .. '"'
    local item = (is_list and '' or name .. ':') .. show(rawget(value, key), depth - 1, above, room)
    items[i] = item
    room.left = room.left - #item
    if room.left < 0 then
      is_all = false
      break
    end
  end
  above[value] = nil
  if not is_all then
    items[#items + 1] = '...'
  end
  return (is_list and '[' or '{') .. concat(items, ',') .. (is_list and ']' or '}')
end

function show(value, depth, above, room)
  local kind = type(value)
  if kind == 'table' then
    return show_table(value, depth, above, room)
  elseif kind == 'string' then
    return quoted(value)
  elseif kind == 'number' then
    return number_text(value)
  elseif kind == 'boolean' then
    return value and 'true' or 'false'
  end
  return '<' .. kind .. '>'
end

-- Returns text for any error value; a __tostring that fails, never ends or has no text counts as none.
return function(value)
  local kind = type(value)
  if kind == 'string' then
    return (gsub(value, '^%[alaska [^%]]*%]:%d+: ', '')) -- where in our parts it was noticed helps nobody
  end
  local metatable = metatable_of(value)
  if kind == 'number' or type(metatable) == 'table' and rawget(metatable, '__tostring') ~= nil then
    -- In a coroutine like the script itself: __tostring is the script's too, and may fail.
    local ok, text = resume(create(tostring), value)
    if ok and type(text) == 'string' then
      return text
    end
  end
  if kind == 'table' then
    return '(error object is a table value) ' .. show_table(value, DEPTH, {}, { left = ALL, tables = TABLES })
  end
  return '(error object is a ' .. kind .. ' value)'
end
