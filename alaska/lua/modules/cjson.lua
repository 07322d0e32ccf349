-- Alaska's own cjson, used where lua-cjson is not installed: the same functions, settings and error texts.
--
-- It differs from lua-cjson 2.1.0 where that loses precision: a number without fraction or exponent that fits an
-- integer is decoded to an integer, and integers are encoded with all digits.
local module, null, _, shared = ...

local encode_text, decode_text = shared 'json_encode', shared 'json_decode'
local error, floor, format, pcall, select, type = error, math.floor, string.format, pcall, select, type

local MAX = 2147483647

local function argument_error(position, call, why)
  error(format("bad argument #%d to '%s' (%s)", position, call, why), 3)
end

local function check_count(call, most, given)
  if given > most then
    error(format("bad argument #%d to '%s' (found too many arguments)", most + 1, call), 3)
  end
end

local function is_whole(value, least, most)
  return type(value) == 'number' and value >= least and value <= most and floor(value) == value
end

-- tostring is not used, because a script's __tostring may return anything.
local function text_of_option(value)
  return type(value) == 'string' and value or type(value)
end

local switches = { [true] = true, [false] = false, on = true, off = false }

-- Adds a function that returns an integer setting, and sets it if called with an argument.
local function define_number(cjson, settings, name, least, most)
  cjson[name] = function(...)
    check_count(name, 1, select('#', ...))
    local value = ...
    if value ~= nil then
      if not is_whole(value, least, most) then
        argument_error(1, name, format('expected integer between %d and %d', least, most))
      end
      settings[name] = value
      settings.number_format = format('%%.%dg', settings.encode_number_precision)
    end
    return settings[name]
  end
end

-- The same for a setting that is on, off, or one extra word.
local function define_switch(cjson, settings, name, extra)
  cjson[name] = function(...)
    check_count(name, 1, select('#', ...))
    local value = ...
    if value ~= nil then
      if switches[value] == nil and value ~= extra then
        argument_error(1, name, format("invalid option '%s'", text_of_option(value)))
      end
      settings[name] = switches[value] == nil and value or switches[value]
    end
    return settings[name]
  end
end

local function define_sparse_array(cjson, settings)
  local name = 'encode_sparse_array'
  cjson[name] = function(...)
    check_count(name, 3, select('#', ...))
    local convert, ratio, safe = ...
    if convert ~= nil and switches[convert] == nil then
      argument_error(1, name, format("invalid option '%s'", text_of_option(convert)))
    end
    for position, value in next, { [2] = ratio, [3] = safe } do
      if not is_whole(value, 0, MAX) then
        argument_error(position, name, format('expected integer between 0 and %d', MAX))
      end
    end
    if convert ~= nil then
      settings.sparse_convert = switches[convert]
    end
    settings.sparse_ratio = ratio or settings.sparse_ratio
    settings.sparse_safe = safe or settings.sparse_safe
    return settings.sparse_convert, settings.sparse_ratio, settings.sparse_safe
  end
end

local function define_encode_and_decode(cjson, settings, is_safe)
  local function failed(message)
    if is_safe then
      return nil, message
    end
    error(message, 2) -- encode and decode end with a tail call, so level 2 is their caller
  end

  function cjson.encode(...)
    if select('#', ...) ~= 1 then
      argument_error(1, 'encode', 'expected 1 argument')
    end
    local ok, text = pcall(encode_text, settings, (...))
    if ok then
      return text
    end
    return failed(text)
  end

  function cjson.decode(...)
    local text = ...
    if select('#', ...) ~= 1 then
      argument_error(1, 'decode', 'expected 1 argument')
    elseif type(text) == 'number' then
      text = text .. ''
    elseif type(text) ~= 'string' then
      argument_error(1, 'decode', 'string expected, got ' .. type(text))
    end
    local ok, value = pcall(decode_text, settings, text)
    if ok then
      return value
    end
    return failed(value)
  end
end

local function new(is_safe)
  local settings = { encode_max_depth = 1000, decode_max_depth = 1000, encode_number_precision = 14,
    number_format = '%.14g', encode_invalid_numbers = false, decode_invalid_numbers = true, encode_keep_buffer = true,
    sparse_convert = false, sparse_ratio = 2, sparse_safe = 10 }
  local cjson = { _NAME = 'cjson', _VERSION = '2.1.0', null = null }
  define_encode_and_decode(cjson, settings, is_safe)
  define_number(cjson, settings, 'encode_max_depth', 1, MAX)
  define_number(cjson, settings, 'decode_max_depth', 1, MAX)
  define_number(cjson, settings, 'encode_number_precision', 1, 17)
  define_switch(cjson, settings, 'encode_invalid_numbers', 'null')
  define_switch(cjson, settings, 'decode_invalid_numbers')
  define_switch(cjson, settings, 'encode_keep_buffer')
  define_sparse_array(cjson, settings)

  function cjson.new()
    return new(is_safe)
  end

  return cjson
end

return new(module == 'cjson.safe')
