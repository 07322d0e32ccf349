-- The table `alaska` of a run: the fields of its request, and the functions that ask the worker.
--
-- No Python function is ever passed to Lua. A script that needs the worker yields a question (questions.lua), and the
-- run resumes with the answer.
local run, settings, sending, messages, asking, progress, cancelling, modules, tracing, verdicts = ...

local error, type, select, tostring, tonumber, next, pcall = error, type, select, tostring, tonumber, next, pcall
local getmetatable, setmetatable, rawequal, rawget = getmetatable, setmetatable, rawequal, rawget
local floor, format, huge, sub = math.floor, string.format, math.huge, string.sub
local math_type = math.type or function() end
local unpack = table.unpack
local as_text, joined, LIMIT = sending.as_text, sending.joined, sending.LIMIT
local ask, seconds = asking.ask, asking.seconds

local set, event, later = tracing.set, tracing.event, messages.later

local MAX_FRAMES = 250 -- frames of a reply; the Lua stack is limited
local EXACT = 2 ^ 53 -- from here on, not every integer has an exact float

-- JSON: Alaska's own implementation, also where lua-cjson is installed. Numbers survive a round trip.

-- The metatable of an empty table marks it as an array. Each run has its own such metatable, so a script that changes
-- it affects only itself.
local function as_array(value)
  local metatable = run.array
  if metatable == nil or rawget(metatable, '__gc') ~= nil then
    -- The script added a finalizer, which would run during another request: use a new metatable.
    metatable = {}
    run.array = metatable
  end
  return setmetatable(value, metatable)
end

local function is_array(value)
  local metatable = run.array
  return metatable ~= nil and rawequal(getmetatable(value), metatable)
end

local json_settings = { encode_max_depth = 1000, decode_max_depth = 1000, number_format = '%.17g', shortest = true,
  encode_invalid_numbers = false, decode_invalid_numbers = false, sparse_convert = true, sparse_ratio = 2,
  sparse_safe = 10, is_strict = true, is_array = is_array, as_array = as_array }
local kv_json_settings = { keeps_floats = true } -- for values that must keep their type: the key-value store
for name, value in next, json_settings do
  kv_json_settings[name] = value
end
local encode_text, decode_text -- created at their first use

local function encode(value, as)
  encode_text = encode_text or modules.shared 'json_encode'
  return encode_text(as or json_settings, value)
end

local json = {}

function json.encode(...)
  if select('#', ...) ~= 1 then
    error("bad argument #1 to 'encode' (1 value expected)", 2)
  end
  local ok, text = pcall(encode, (...))
  if not ok then
    error(text, 2)
  end
  return text
end

-- Marks an empty table as an array for JSON.
function json.array(value)
  if value == nil then
    value = {}
  elseif type(value) ~= 'table' then
    error("bad argument #1 to 'array' (table expected, got " .. type(value) .. ')', 2)
  elseif getmetatable(value) ~= nil and not is_array(value) then
    error("bad argument #1 to 'array' (the table has a metatable)", 2)
  end
  return as_array(value)
end

function json.decode(text)
  if type(text) ~= 'string' then
    error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ')', 2)
  end
  decode_text = decode_text or modules.shared 'json_decode'
  local ok, value = pcall(decode_text, json_settings, text)
  if not ok then
    error(value, 2)
  end
  return value
end

-- Replies

-- Converts a value to the text of a frame. Returns nil and the reason if that is impossible.
local function frame(value)
  local kind = type(value)
  if kind == 'string' then
    return value
  elseif kind == 'number' then
    return value .. ''
  elseif kind == 'boolean' then
    return tostring(value)
  elseif kind == 'table' or modules.is_null(value) then
    local ok, text = pcall(encode, value)
    if ok then
      return text
    end
    return nil, text
  end
  return nil, 'it must be a string, a number, a boolean or a table, not ' .. (kind == 'nil' and kind or 'a ' .. kind)
end

local function reply(...)
  local n = select('#', ...)
  if n == 0 or n > MAX_FRAMES then
    error(format("'reply' needs 1 to %d arguments, and was given %d", MAX_FRAMES, n), 2)
  end
  local frames = { ... }
  for i = 1, n do
    local text, why = frame(frames[i])
    if not text then
      error(format("bad argument #%d to 'reply' (%s)", i, why), 2)
    end
    frames[i] = text
  end
  sending.reply(n, unpack(frames, 1, n))
end

-- The log

local function logger(level)
  return function(...)
    sending.log(level, joined(' ', ...))
  end
end

local log = { info = logger 'info', warn = logger 'warn', error = logger 'error' }

-- The key-value store. A value is sent to the worker as one letter for its type, then text.

local function to_octets(value, position, call)
  local kind = type(value)
  if kind == 'string' then
    return 's' .. value
  elseif kind == 'boolean' then
    return value and 'b1' or 'b0'
  elseif kind == 'number' and value == value and value ~= huge and value ~= -huge then
    if math_type(value) == 'integer' or not math.type and floor(value) == value and value < EXACT and value > -EXACT then
      return format('i%d', value)
    end
    return format('d%.17g', value)
  elseif kind == 'table' then
    local ok, text = pcall(encode, value, kv_json_settings)
    if ok then
      return 'j' .. text
    end
    error(format("bad argument #%d to '%s' (%s)", position, call, text), 3)
  elseif modules.is_null(value) then
    return 'jnull'
  elseif kind == 'number' then
    kind = value ~= value and 'not a number' or 'a number that is not finite'
  end
  error(format("bad argument #%d to '%s' (a string, a number, a boolean or a table is expected, got %s)", position,
    call, kind), 3)
end

local infinities = { inf = huge, ['-inf'] = -huge }

local function from_octets(octets)
  if octets == nil then
    return nil
  end
  local kind, text = sub(octets, 1, 1), sub(octets, 2)
  if kind == 's' then
    return text
  elseif kind == 'i' then
    return tonumber(text)
  elseif kind == 'd' then
    return infinities[text] or tonumber(text) + 0.0
  elseif kind == 'b' then
    return text == '1'
  end
  return json.decode(text)
end

local kv = {}

function kv.get(key)
  key = as_text(key, 1, 'key', 'get', LIMIT, 2)
  local octets = ask('alaska.kv.get', 3, 'kv.get', key)
  return from_octets(octets)
end

function kv.set(key, value, ttl)
  key = as_text(key, 1, 'key', 'set', LIMIT, 2)
  if ttl == huge then
    error("bad argument #3 to 'set' (a finite number of seconds is expected; without one, a value does not expire)", 2)
  end
  ttl = ttl == nil and '' or seconds(ttl, 3, 'set')
  if value == nil then
    ask('alaska.kv.set', 3, 'kv.delete', key)
    return
  end
  value = to_octets(value, 2, 'set')
  ask('alaska.kv.set', 3, 'kv.set', key, value, ttl)
end

function kv.incr(key, by)
  key = as_text(key, 1, 'key', 'incr', LIMIT, 2)
  if by ~= nil and type(by) ~= 'number' then
    error(format("bad argument #2 to 'incr' (number expected, got %s)", type(by)), 2)
  end
  by = to_octets(by or 1, 2, 'incr')
  local octets = ask('alaska.kv.incr', 3, 'kv.incr', key, by)
  return from_octets(octets)
end

function kv.ttl(key)
  key = as_text(key, 1, 'key', 'ttl', LIMIT, 2)
  local octets = ask('alaska.kv.ttl', 3, 'kv.ttl', key)
  return from_octets(octets)
end

function kv.delete(key)
  key = as_text(key, 1, 'key', 'delete', LIMIT, 2)
  local was_there = ask('alaska.kv.delete', 3, 'kv.delete', key)
  return was_there ~= nil
end

local function copy(library)
  local new = {}
  for name, value in next, library do
    new[name] = type(value) == 'table' and copy(value) or value
  end
  return new
end

local api = {}

-- Returns the table `alaska` for the request in `run.request`, once per run: the tables in it become the script's.
-- Constructors with named fields take a third of the time of loops.
function api.make()
  local asked = run.request
  return {
    subject = asked.subject, address = asked.address, sender = asked.sender, tracker = asked.tracker,
    frames = asked.frames, headers = asked.headers, age = asked.age, attempt = asked.attempt,
    snoozes = asked.snoozes, deadline = asked.deadline, worker = asked.worker,
    stream = asked.stream, position = asked.position,
    version = settings.version,
    config = next(settings.config) == nil and {} or copy(settings.config),
    json = { encode = json.encode, decode = json.decode, array = json.array, null = modules.null },
    kv = { get = kv.get, set = kv.set, incr = kv.incr, ttl = kv.ttl, delete = kv.delete },
    log = { info = log.info, warn = log.warn, error = log.error },
    trace = asked.trace and tracing.make(asked.trace) or { set = set, event = event }, reply = reply,
    request = asking.request, request_all = asking.request_all, progress = progress.progress,
    cancelled = cancelling.cancelled, later = later,
    retry = verdicts.retry, snooze = verdicts.snooze, reject = verdicts.reject,
  }
end

-- Sends the return value of the script as a reply to the request.
function api.returned(value)
  if value == nil then
    return
  end
  local text, why = frame(value)
  if not text then
    error(run.ended_by or run.script.path .. ': what the script returned cannot be mailed: ' .. why, 0)
  end
  sending.reply(1, text)
end

return api
