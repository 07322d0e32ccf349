-- Encodes Lua values as JSON, for alaska.json and Alaska's own cjson. Returns encode(settings, value), which raises
-- errors without a position.
--
-- `settings.is_array(value)`, if set, returns whether an empty table is an array.
local is_null = ...

local error, type, next, rawget, tonumber = error, type, next, rawget, tonumber
local char, find, format, gsub, floor, huge =
  string.char, string.find, number_format, string.gsub, math.floor, math.huge
local concat = table.concat
local math_type = math.type or function() end

local escapes = { ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n',
  ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f' }
for code = 0, 31 do
  local control = char(code)
  escapes[control] = escapes[control] or format('\\u%04x', code)
end

local function quoted(text)
  return '"' .. gsub(text, '[%c"\\/\127]', escapes) .. '"'
end

local function fail(value, why)
  error('Cannot serialise ' .. type(value) .. ': ' .. why, 0)
end

-- Returns the shortest text that converts back to the same number. A float with an integer value is written as an
-- integer, because it may have been one before lua-cjson, which has floats only, decoded it. With `keeps_floats` it
-- stays a float.
local function shortest(value, keeps_floats)
  for digits = 15, 17 do
    local text = format('%.' .. digits .. 'g', value)
    if tonumber(text) == value then
      return keeps_floats and math_type(value) == 'float' and find(text, '^-?%d+$') and text .. '.0' or text
    end
  end
end

local function number_text(settings, value)
  if math_type(value) == 'integer' then
    return format('%d', value)
  end
  if value ~= value or value == huge or value == -huge then
    if settings.encode_invalid_numbers == 'null' then
      return 'null'
    elseif not settings.encode_invalid_numbers then
      fail(value, 'must not be NaN or Inf')
    end
    return value ~= value and 'nan' or value > 0 and 'inf' or '-inf'
  end
  return settings.shortest and shortest(value, settings.keeps_floats) or format(settings.number_format, value)
end

-- Returns the length of a table that is an array, or nil for an object. An empty table is an object unless it is marked
-- as an array.
local function array_length(settings, value)
  local largest, items = 0, 0
  for key in next, value do
    if type(key) ~= 'number' or key < 1 or floor(key) ~= key then
      return nil
    end
    items = items + 1
    largest = key > largest and key or largest
  end
  if items == 0 then
    return settings.is_array and settings.is_array(value) and 0 or nil
  end
  local ratio = settings.sparse_ratio
  if ratio > 0 and largest > items * ratio and largest > settings.sparse_safe then
    if not settings.sparse_convert then
      fail(value, 'excessively sparse array')
    end
    return nil
  end
  return largest
end

local encode_value

local function encode_array(settings, value, length, out, depth)
  out[#out + 1] = '['
  for i = 1, length do
    if i > 1 then
      out[#out + 1] = ','
    end
    encode_value(settings, rawget(value, i), out, depth)
  end
  out[#out + 1] = ']'
end

local function encode_object(settings, value, out, depth)
  local separator = '{'
  for key, item in next, value do
    local kind = type(key)
    if kind == 'string' then
      key = quoted(key)
    elseif kind == 'number' then
      key = '"' .. number_text(settings, key) .. '"'
    else
      fail(key, 'table key must be a number or string')
    end
    out[#out + 1] = separator .. key .. ':'
    encode_value(settings, item, out, depth)
    separator = ','
  end
  out[#out + 1] = separator == '{' and '{}' or '}'
end

function encode_value(settings, value, out, depth)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = quoted(value)
  elseif kind == 'number' then
    out[#out + 1] = number_text(settings, value)
  elseif kind == 'boolean' then
    out[#out + 1] = value and 'true' or 'false'
  elseif value == nil or is_null(value) then
    out[#out + 1] = 'null'
  elseif kind == 'table' then
    depth = depth + 1
    if depth > settings.encode_max_depth then
      error(format('Cannot serialise, excessive nesting (%d)', depth), 0)
    end
    local length = array_length(settings, value)
    if length then
      encode_array(settings, value, length, out, depth)
    else
      encode_object(settings, value, out, depth)
    end
  else
    fail(value, 'type not supported')
  end
end

return function(settings, value)
  local out = {}
  encode_value(settings, value, out, 0)
  return concat(out)
end
