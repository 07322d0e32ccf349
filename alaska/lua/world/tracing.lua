-- The table `alaska.trace` of a run: the trace that its messages belong to, and what it adds to its own span.
--
-- What a script adds becomes attributes and events of a span in the worker, if it records one. Without a span the
-- arguments are checked, and nothing else is done, so that a script does not behave differently.
local run, limits, sending = ...

local error, type, next = error, type, next
local byte, find, format, sub, huge = string.byte, string.find, string.format, string.sub, math.huge
local math_type, floor = math.type, math.floor
local unpack = table.unpack
local as_text, LIMIT, clock = sending.as_text, sending.LIMIT, limits.clock

local MAX_MARKS = 128 -- attributes and events of one run; more are ignored
local MAX_ATTRIBUTES = 16 -- of one event
local MAX_OCTETS = 1024 -- of a text; the rest is cut off
local EXACT = 2 ^ 53 -- from here on, not every integer has an exact float

-- Returns a value as one letter for its type and text; nil if it cannot be the value of an attribute.
local function encoded(value)
  local kind = type(value)
  if kind == 'string' then
    return 's' .. (#value > MAX_OCTETS and sub(value, 1, MAX_OCTETS) or value)
  elseif kind == 'boolean' then
    return value and 'b1' or 'b0'
  elseif kind ~= 'number' then
    return nil
  elseif math_type and math_type(value) == 'integer'
    or not math_type and value > -EXACT and value < EXACT and floor(value) == value then
    return format('i%d', value)
  elseif value ~= value or value == huge or value == -huge then
    return 's' .. value
  end
  return format('d%.17g', value)
end

local function check_value(value, position, call, level)
  local text = encoded(value)
  if not text then
    error(format("bad argument #%d to '%s' (a string, a number or a boolean is expected, got %s)", position, call,
      type(value)), level + 1)
  end
  return text
end

-- Returns whether the run has a span that takes one more mark.
local function takes_mark()
  if run.ended_by then
    limits.end_script()
  end
  local asked = run.request
  local left = asked and asked.marks or 0
  if left <= 0 then
    return false
  end
  asked.marks = left - 1
  return true
end

local function set(name, value)
  name = as_text(name, 1, 'name', 'set', LIMIT, 2)
  value = check_value(value, 2, 'set', 2)
  if takes_mark() then
    sending.mark('', format('%.6f', clock()), 2, name, value)
  end
end

-- Returns attributes as a list of names and values.
local function list_of(attributes)
  local list, number = {}, 0
  for name, value in next, attributes do
    number = number + 1
    if number > MAX_ATTRIBUTES then
      error(format("bad argument #2 to 'event' (more than %d attributes)", MAX_ATTRIBUTES), 3)
    end
    list[2 * number - 1] = as_text(name, 2, 'name of an attribute', 'event', LIMIT, 3)
    list[2 * number] = check_value(value, 2, 'event', 3)
  end
  return list
end

local function event(name, attributes)
  name = as_text(name, 1, 'name', 'event', LIMIT, 2)
  if name == '' then
    error("bad argument #1 to 'event' (a name is expected)", 2)
  elseif attributes ~= nil and type(attributes) ~= 'table' then
    error("bad argument #2 to 'event' (table expected, got " .. type(attributes) .. ')', 2)
  end
  local list = list_of(attributes or {})
  if takes_mark() then
    sending.mark(name, format('%.6f', clock()), #list, unpack(list))
  end
end

local tracing = { set = set, event = event }

-- Returns the table for a run with a trace: '+' (with a span) or '-', a traceparent of 55 octets, and a tracestate.
function tracing.make(trace)
  local parent = sub(trace, 2, 56)
  run.request.marks = byte(trace) == 43 and MAX_MARKS or 0
  return {
    set = set, event = event, traceparent = parent, tracestate = sub(trace, 57), trace_id = sub(parent, 4, 35),
    span_id = sub(parent, 37, 52), sampled = find('13579bdf', sub(parent, 55), 1, true) ~= nil,
  }
end

return tracing
