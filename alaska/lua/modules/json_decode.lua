-- Decodes JSON to Lua values, for alaska.json and Alaska's own cjson. Returns decode(settings, text), which raises
-- errors without a position.
--
-- `settings.is_strict` refuses everything outside RFC 8259 that lua-cjson accepts. `settings.as_array(table)`, if set,
-- is called with each complete array. No part of the text is matched twice, so the time is linear in its length.
local _, null = ...

local error, tonumber = error, tonumber
local byte, char, find, format, lower, match, sub =
  string.byte, string.char, string.find, string.format, string.lower, string.match, string.sub
local concat, floor, huge = table.concat, math.floor, math.huge

-- The scanner returns the kind of a token, its value, and the position after it. For an invalid token, the kind is the
-- reason.

local unescapes = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }
local marks = { ['{'] = 'T_OBJ_BEGIN', ['}'] = 'T_OBJ_END', ['['] = 'T_ARR_BEGIN', [']'] = 'T_ARR_END',
  [','] = 'T_COMMA', [':'] = 'T_COLON' }

local function utf8_of(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40, 0x80 + floor(code / 0x40) % 0x40,
    0x80 + code % 0x40)
end

-- Decodes \uXXXX at a position, with the second half of a surrogate pair. Returns the text and the position after it,
-- or nil.
local function unicode_escape(text, position)
  local code = tonumber(match(text, '^\\u(%x%x%x%x)', position) or '', 16)
  if not code or code >= 0xDC00 and code < 0xE000 then
    return nil
  elseif code < 0xD800 or code >= 0xE000 then
    return utf8_of(code), position + 6
  end
  local second = tonumber(match(text, '^\\u([dD][c-fC-F]%x%x)', position + 6) or '', 16)
  if second then
    return utf8_of(0x10000 + (code - 0xD800) * 0x400 + second - 0xDC00), position + 12
  end
end

local function scan_string(settings, text, start)
  local out = {}
  local position = start + 1
  local plain_text = settings.is_strict and '^([^"\\%z\1-\31]*)()' or '^([^"\\%z]*)()'
  while true do
    local plain, stop = match(text, plain_text, position)
    local mark = sub(text, stop, stop)
    if mark == '"' then
      if #out == 0 then
        return 'T_STRING', plain, stop + 1
      end
      out[#out + 1] = plain
      return 'T_STRING', concat(out), stop + 1
    elseif mark ~= '\\' then
      return 'unexpected end of string', nil, stop
    end
    out[#out + 1] = plain
    local letter = sub(text, stop + 1, stop + 1)
    if letter == 'u' then
      out[#out + 1], position = unicode_escape(text, stop)
      if not position then
        return 'invalid unicode escape code', nil, stop
      end
    else
      if not unescapes[letter] then
        return 'invalid escape code', nil, stop
      end
      out[#out + 1] = unescapes[letter]
      position = stop + 2
    end
  end
end

-- Reads what C's strtod accepts, as lua-cjson does by default: hexadecimal numbers, infinity and NaN as well.
local function lenient_number(text, position)
  local found = match(text, '^[-+]?0[xX]%x+', position)
  if found then
    local fraction = match(text, '^%.%x*', position + #found) or ''
    local exponent = match(text, '^[pP][-+]?%d+', position + #found + #fraction) or ''
    found = found .. fraction .. exponent
    return tonumber(found .. (exponent == '' and 'p0' or '')), found
  end
  local sign, word = match(text, '^([-+]?)(%a+)', position)
  word = word and (match(lower(word), '^infinity') or match(lower(word), '^inf') or match(lower(word), '^nan'))
  if word then
    local value = word == 'nan' and huge - huge or huge
    return sign == '-' and -value or value, sign .. word
  end
end

-- Returns the position after the digits, fraction and exponent of a number.
local function end_of_number(settings, text, position)
  position = match(text, '^[-+]?%d+()', position)
  if position then
    position = match(text, settings.is_strict and '^%.%d+()' or '^%.%d*()', position) or position
    position = match(text, '^[eE][-+]?%d+()', position) or position
  end
  return position
end

local function scan_number(settings, text, position)
  if settings.decode_invalid_numbers then
    local value, found = lenient_number(text, position)
    if value then
      return 'T_NUMBER', value, position + #found
    end
  elseif not match(text, '^%-?[1-9]', position) and not match(text, '^%-?0%f[^%dxX]', position) then
    return find(text, '^[-%d]', position) and 'invalid number' or 'invalid token', nil, position
  end
  local after = end_of_number(settings, text, position)
  if not after or settings.is_strict and find(text, '^[%w.+]', after) then
    return 'invalid number', nil, position
  end
  local found = sub(text, position, after - 1)
  local value = found == '-0' and -0.0 or tonumber(found)
  return 'T_NUMBER', value, after
end

local words = { ['true'] = { 'T_BOOLEAN', true }, ['false'] = { 'T_BOOLEAN', false }, null = { 'T_NULL', null } }

local function scan(settings, text, position)
  position = match(text, '^[ \t\r\n]*()', position)
  local first = sub(text, position, position)
  if marks[first] then
    return marks[first], nil, position + 1, position
  elseif first == '"' then
    local kind, value, after = scan_string(settings, text, position)
    return kind, value, after, kind == 'T_STRING' and position or after
  elseif first == '' then
    return 'T_END', nil, position, position
  end
  local known = words[match(text, '^true', position) or match(text, '^false', position)
    or match(text, '^null', position)]
  if known then
    return known[1], known[2], position + (known[2] == false and 5 or 4), position
  elseif find(text, '^[-+%diInN]', position) then
    local kind, value, after = scan_number(settings, text, position)
    if kind == 'invalid number' and find(first, '[^-%d]') then
      kind = 'invalid token'
    end
    return kind, value, after, position
  end
  return 'invalid token', nil, position, position
end

local function expected(what, found, position)
  error(format('Expected %s but found %s at character %d', what, found, position), 0)
end

local decode_value

-- Marks an array only when it is complete: its metatable belongs to the script and may have a __newindex.
local function as_array(settings, array)
  return settings.as_array and settings.as_array(array) or array
end

local function decode_array(settings, text, position, depth)
  local array, length = {}, 0
  local kind, value, after, start = scan(settings, text, position)
  if kind == 'T_ARR_END' then
    return as_array(settings, array), after
  end
  while true do
    length = length + 1
    array[length], position = decode_value(settings, text, kind, value, after, start, depth)
    kind, value, after, start = scan(settings, text, position)
    if kind == 'T_ARR_END' then
      return as_array(settings, array), after
    elseif kind ~= 'T_COMMA' then
      expected('comma or array end', kind, start)
    end
    kind, value, after, start = scan(settings, text, after)
  end
end

local function decode_object(settings, text, position, depth)
  local object = {}
  local kind, key, after, start = scan(settings, text, position)
  if kind == 'T_OBJ_END' then
    return object, after
  end
  while true do
    if kind ~= 'T_STRING' then
      expected('object key string', kind, start)
    end
    kind, position, after, start = scan(settings, text, after)
    if kind ~= 'T_COLON' then
      expected('colon', kind, start)
    end
    object[key], position = decode_value(settings, text, nil, nil, after, nil, depth)
    kind, key, after, start = scan(settings, text, position)
    if kind == 'T_OBJ_END' then
      return object, after
    elseif kind ~= 'T_COMMA' then
      expected('comma or object end', kind, start)
    end
    kind, key, after, start = scan(settings, text, after)
  end
end

-- Decodes the value that starts with a token; without one, the token is read first. Returns the value and the position
-- after it.
function decode_value(settings, text, kind, value, after, start, depth)
  if not kind then
    kind, value, after, start = scan(settings, text, after)
  end
  if kind == 'T_STRING' or kind == 'T_NUMBER' or kind == 'T_BOOLEAN' or kind == 'T_NULL' then
    return value, after
  elseif kind ~= 'T_OBJ_BEGIN' and kind ~= 'T_ARR_BEGIN' then
    expected('value', kind, start)
  end
  depth = depth + 1
  if depth > settings.decode_max_depth then
    error(format('Found too many nested data structures (%d) at character %d', depth, start), 0)
  end
  return (kind == 'T_OBJ_BEGIN' and decode_object or decode_array)(settings, text, after, depth)
end

return function(settings, text)
  if #text > 1 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
    error('JSON parser does not support UTF-16 or UTF-32', 0)
  end
  local value, position = decode_value(settings, text, nil, nil, 1, nil, 0)
  local kind, _, _, start = scan(settings, text, position)
  if kind ~= 'T_END' then
    expected('the end', kind, start)
  end
  return value
end
