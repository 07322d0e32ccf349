-- The terms of a message: when it is delivered, how often it is tried, and so on. A script gives them as a table.
--
-- The table is read without metamethods. The worker gets names and values as text (alaska/worker/terms.py).
local error, format, type, next, rawget = error, string.format, type, next, rawget
local floor = math.floor

local MOST_SECONDS = 2 ^ 53 / 1000
local MOST_ID = 255 -- octets
local LEAST_WAIT, MOST_WAIT = 0.001, 30 * 86400 -- seconds, as alaska/system/retry_plan.py has them
local MODES = { keep = true, replace = true }

-- Returns a function that writes a number of seconds. Each of these functions returns nil and what it expects if the
-- value is something else.
local function seconds(expected)
  return function(value)
    if type(value) == 'number' and value >= 0 and value <= MOST_SECONDS then
      return format('%.6f', value)
    end
    return nil, expected
  end
end

local function whole(least, most)
  return function(value)
    if type(value) == 'number' and value >= least and value <= most and floor(value) == value then
      return format('%d', value)
    end
    return nil, format('a whole number from %d to %d', least, most)
  end
end

local DURATION = 'a number of seconds, 0 or more'
local duration = seconds(DURATION)
local writers = {
  delay = duration, ttl = duration, unique_for = duration, at = seconds 'a time in seconds since 1970',
  priority = whole(0, 9), attempts = whole(1, 1001),
}

function writers.id(value)
  value = type(value) == 'number' and value .. '' or value
  if type(value) == 'string' and #value > 0 and #value <= MOST_ID then
    return value
  end
  return nil, format('a string of 1 to %d octets', MOST_ID)
end

function writers.unique_mode(value)
  if type(value) == 'string' and MODES[value] then
    return value
  end
  return nil, "'keep' or 'replace'"
end

function writers.backoff(value)
  if type(value) == 'table' and rawget(value, 3) == nil then
    local first, most = rawget(value, 1), rawget(value, 2)
    if type(first) == 'number' and type(most) == 'number' and first >= LEAST_WAIT and first <= most
      and most <= MOST_WAIT then
      return format('%.6f %.6f', first, most)
    end
  end
  return nil, format('a table of two numbers of seconds from %g to %d: the first and the longest wait', LEAST_WAIT,
    MOST_WAIT)
end

-- Returns the terms in a table as a list of names and values, and their octets. An error gets the position `level`
-- levels up: 2 is the caller of the function that calls this.
local function list_of(terms, position, call, level)
  if type(terms) ~= 'table' then
    error(format("bad argument #%d to '%s' (a table of terms is expected, got %s)", position, call, type(terms)),
      level + 1)
  end
  local list, size, number = {}, 0, 0
  for name, value in next, terms do
    local write = type(name) == 'string' and writers[name]
    if not write then
      error(format("bad argument #%d to '%s' (there is no term %s)", position, call,
        type(name) == 'string' and "'" .. format('%.40s', name) .. "'" or 'whose name is a ' .. type(name)), level + 1)
    end
    local text, expected = write(value)
    if not text then
      error(format("bad argument #%d to '%s' (the term %s must be %s)", position, call, name, expected), level + 1)
    end
    number = number + 1
    list[2 * number - 1], list[2 * number] = name, text
    size = size + #name + #text
  end
  if rawget(terms, 'delay') ~= nil and rawget(terms, 'at') ~= nil then
    error(format("bad argument #%d to '%s' (a message has either the term delay or at)", position, call), level + 1)
  elseif rawget(terms, 'id') == nil and (rawget(terms, 'unique_for') or rawget(terms, 'unique_mode')) then
    error(format("bad argument #%d to '%s' (the terms unique_for and unique_mode need the term id)", position, call),
      level + 1)
  end
  return list, size
end

-- Returns whether a table of terms says when the message is delivered.
local function has_time(terms)
  return rawget(terms, 'delay') ~= nil or rawget(terms, 'at') ~= nil
end

return { list = list_of, has_time = has_time, duration = duration }
