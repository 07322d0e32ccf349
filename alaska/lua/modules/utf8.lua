-- Lua 5.4's library utf8, for LuaJIT. Strict: no surrogates, nothing above U+10FFFF.
local byte, char, error, floor, format, select, type, unpack =
  string.byte, string.char, error, math.floor, string.format, select, type, unpack
local tonumber = tonumber
local concat = table.concat

local utf8 = { charpattern = '[%z\1-\127\194-\253][\128-\191]*' }

local function argument_error(position, call, why)
  error(format("bad argument #%d to '%s' (%s)", position, call, why), 3)
end

-- Converts an argument to an integer. Must be called at the same stack level as `argument_error`.
local function whole(value, default, position, call)
  if value == nil then
    return default
  end
  local number = tonumber(value)
  if not number or number % 1 ~= 0 then
    error(format("bad argument #%d to '%s' (a whole number is expected, got %s)", position, call, type(value)), 3)
  end
  return number
end

local function check_text(text, call)
  if type(text) == 'number' then
    return text .. ''
  elseif type(text) ~= 'string' then
    error(format("bad argument #1 to '%s' (string expected, got %s)", call, type(text)), 3)
  end
  return text
end

local function encode(code)
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

function utf8.char(...)
  local out = {}
  for i = 1, select('#', ...) do
    local code = select(i, ...)
    if type(code) ~= 'number' or code < 0 or code > 0x10FFFF or code % 1 ~= 0 then
      argument_error(i, 'char', 'value out of range')
    end
    out[i] = encode(code)
  end
  return concat(out)
end

-- number of octets -> smallest code point that may use this many
local LEAST = { 0, 0x80, 0x800, 0x10000 }

-- Returns the code point that starts at a position, and its number of octets; nil if the octets are not valid.
local function decode(text, position, is_lax)
  local first = byte(text, position)
  if not first then
    return nil
  elseif first < 0x80 then
    return first, 1
  elseif first < 0xC2 or first > 0xF4 then
    return nil
  end
  local length = first < 0xE0 and 2 or first < 0xF0 and 3 or 4
  local code = first % 2 ^ (7 - length)
  for i = 1, length - 1 do
    local octet = byte(text, position + i)
    if not octet or octet < 0x80 or octet > 0xBF then
      return nil
    end
    code = code * 0x40 + octet % 0x40
  end
  if code < LEAST[length] or code > 0x10FFFF or code >= 0xD800 and code < 0xE000 and not is_lax then
    return nil
  end
  return code, length
end

local function is_continuation(text, position)
  local octet = byte(text, position)
  return octet and octet >= 0x80 and octet < 0xC0
end

local function absolute(position, length)
  return position < 0 and length + position + 1 or position
end

function utf8.codes(text, is_lax)
  text = check_text(text, 'codes')
  local function iterate(_, position)
    position = whole(position, 0, 2, 'for iterator') + 1
    while is_continuation(text, position) do
      position = position + 1
    end
    if position > #text then
      return nil
    end
    local code, length = decode(text, position, is_lax)
    if not code or is_continuation(text, position + length) then
      error('invalid UTF-8 code', 2)
    end
    return position, code
  end
  return iterate, text, 0
end

function utf8.codepoint(text, first, last, is_lax)
  text = check_text(text, 'codepoint')
  first = absolute(whole(first, 1, 2, 'codepoint'), #text)
  last = absolute(whole(last, first, 3, 'codepoint'), #text)
  if first < 1 then
    argument_error(2, 'codepoint', 'out of bounds')
  elseif last > #text then
    argument_error(3, 'codepoint', 'out of bounds')
  end
  local codes, count, position = {}, 0, first
  while position <= last do
    local code, length = decode(text, position, is_lax)
    if not code then
      error('invalid UTF-8 code', 2)
    end
    count = count + 1
    codes[count] = code
    position = position + length
  end
  return unpack(codes, 1, count)
end

function utf8.len(text, first, last, is_lax)
  text = check_text(text, 'len')
  local position = absolute(whole(first, 1, 2, 'len'), #text)
  last = absolute(whole(last, -1, 3, 'len'), #text)
  if position < 1 or position > #text + 1 then
    argument_error(2, 'len', 'initial position out of bounds')
  elseif last > #text then
    argument_error(3, 'len', 'final position out of bounds')
  end
  local count = 0
  while position <= last do
    local code, length = decode(text, position, is_lax)
    if not code then
      return nil, position
    end
    position = position + length
    count = count + 1
  end
  return count
end

function utf8.offset(text, n, start)
  text = check_text(text, 'offset')
  n = whole(n, nil, 2, 'offset') or argument_error(2, 'offset', 'a whole number is expected, got no value')
  local position = absolute(whole(start, n > 0 and 1 or #text + 1, 3, 'offset'), #text)
  if position < 1 or position > #text + 1 then
    argument_error(3, 'offset', 'position out of bounds')
  end
  if n == 0 then
    while position > 1 and is_continuation(text, position) do
      position = position - 1
    end
    return position
  elseif is_continuation(text, position) then
    error('initial position is a continuation byte', 2)
  end
  while n < 0 and position > 1 do
    repeat
      position = position - 1
    until position <= 1 or not is_continuation(text, position)
    n = n + 1
  end
  if n > 0 then
    n = n - 1
    while n > 0 and position <= #text do
      repeat
        position = position + 1
      until not is_continuation(text, position)
      n = n - 1
    end
  end
  return n == 0 and position or nil
end

return utf8
