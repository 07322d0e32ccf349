-- Converts error values to text: strings and values with __tostring as Lua does, tables in a format similar to JSON.
local metatable_of = ...

local type, rawget, tostring, next = type, rawget, tostring, next
local create, resume = coroutine.create, coroutine.resume
local concat, sort = table.concat, table.sort
local byte, format, gsub, sub = string.byte, string.format, string.gsub, string.sub
local math_type = math.type or function() end

local DEPTH = 4 -- maximum levels of nested tables
local ITEMS = 50 -- maximum number of items of one table
local OCTETS = 200 -- maximum octets of one string
local ALL = 2000 -- maximum octets of the whole text
local TABLES, KEYS = 100, 1000 -- maximum tables, and keys of one table, that are examined: no time limit applies here

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
    return sub(one, 1, OCTETS) < sub(other, 1, OCTETS) -- comparing long strings may be slow
  end
  return one < other
end

-- Returns the string and number keys of a table, sorted, and whether these are all that are shown.
local function keys_of(value)
  local keys, examined = {}, 0
  for key in next, value do
    examined = examined + 1
    if #keys == ITEMS or examined > KEYS then
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

-- Converts any error value to text. A __tostring that fails, does not return or returns no text is ignored.
return function(value)
  local kind = type(value)
  if kind == 'string' then
    return (gsub(value, '^%[alaska [^%]]*%]:%d+: ', '')) -- positions in Alaska's own files are of no use
  end
  local metatable = metatable_of(value)
  if kind == 'number' or type(metatable) == 'table' and rawget(metatable, '__tostring') ~= nil then
    -- Run in a coroutine, like the script: __tostring is code of the script and may fail.
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
