-- Calls that wait for the worker's answer, among them requests to other services, one or several at once.
local run, limits, questions, sending, progress, cancelling = ...

local error, type, next, rawget = error, type, next, rawget
local floor, format, tonumber = math.floor, string.format, tonumber
local concat, pack = table.concat, table.pack
local isyieldable = coroutine.isyieldable
local as_text, LIMIT = sending.as_text, sending.LIMIT

local DEFAULT_SECONDS, MAX_SECONDS = 5, 1e9
local MAX_REQUESTS, MAX_FRAMES = 100, 250 -- of one call of `request_all`, and of one of these

local asking = {}

local function check_answer(call, level, is_good, ...)
  progress.waits()
  cancelling.waited()
  limits.check_time()
  if is_good == nil then
    return nil, (...)
  elseif not is_good then
    error(call .. ': ' .. (...), level)
  end
  return ...
end

-- Asks the worker and returns its answer. An error gets the position of the script, `level` levels up.
function asking.ask(call, level, ...)
  if run.ended_by then
    limits.end_script()
  elseif not isyieldable() then
    error(call .. ' cannot wait for an answer here: within a function that is called by table.sort, string.gsub or a C '
      .. 'module', level)
  end
  progress.waits()
  limits.deliver_before_wait()
  limits.check_time() -- the time limit includes waiting
  return check_answer(call, level, questions.ask(...))
end

local ask = asking.ask

local function as_seconds(value)
  return format('%.6f', value < MAX_SECONDS and value or MAX_SECONDS)
end

local function is_duration(value)
  return type(value) == 'number' and value == value and value > 0
end

-- Returns a number of seconds as text for the worker.
function asking.seconds(value, position, call)
  if not is_duration(value) then
    error(format("bad argument #%d to '%s' (a number of seconds above 0 is expected)", position, call), 3)
  end
  return as_seconds(value)
end

function asking.request(service, subject, content, timeout)
  service = as_text(service, 1, 'service', 'request', LIMIT, 2)
  subject = as_text(subject, 2, 'subject', 'request', LIMIT, 2)
  content = content == nil and '' or as_text(content, 3, 'content', 'request', nil, 2)
  timeout = asking.seconds(timeout == nil and DEFAULT_SECONDS or timeout, 4, 'request')
  sending.count_message(#content)
  return ask('alaska.request', 2, 'request', service, subject, content, timeout)
end

-- Several requests at once

local function bad_item(level, text, ...)
  error("bad argument #1 to 'request_all' (" .. format(text, ...) .. ')', level + 1)
end

-- Returns a timeout as text for the worker; `of` says whose it is. `level` is that of `as_text`.
local function timeout_of(value, of, level)
  if not is_duration(value) then
    bad_item(level + 1, 'the timeout%s must be a number of seconds above 0', of)
  end
  return as_seconds(value)
end

-- Appends a text to a list of texts as the worker reads them: each has its length in front.
local function add(parts, text)
  local n = #parts
  parts[n + 1], parts[n + 2], parts[n + 3] = #text, ':', text
end

-- Appends the content of an item, its number of frames first; returns its octets.
local function add_content(parts, item, number)
  local content, octets, frames = rawget(item, 'content'), 0, {}
  if content ~= nil then
    frames[1] = as_text(content, 1, format('content of item %d', number), 'request_all', nil, 4)
  end
  for i = 1, MAX_FRAMES + 1 do
    local value = rawget(item, i)
    if value == nil then
      break
    elseif #frames == MAX_FRAMES then
      bad_item(4, 'item %d has more than %d frames', number, MAX_FRAMES)
    end
    frames[#frames + 1] = as_text(value, 1, format('content of item %d', number), 'request_all', nil, 4)
  end
  frames[1] = frames[1] or ''
  add(parts, #frames .. '')
  for i = 1, #frames do
    octets = octets + #frames[i]
    add(parts, frames[i])
  end
  return octets
end

-- Appends one request of a list; returns the octets of its content.
local function add_request(parts, item, number)
  if type(item) ~= 'table' then
    bad_item(3, 'item %d must be a table, not a %s', number, type(item))
  end
  for i = 1, 2 do
    local what = i == 1 and 'service' or 'subject'
    add(parts, as_text(rawget(item, what), 1, format('%s of item %d', what, number), 'request_all', LIMIT, 3))
  end
  local timeout = rawget(item, 'timeout')
  add(parts, timeout == nil and '' or timeout_of(timeout, format(' of item %d', number), 3))
  local octets = add_content(parts, item, number) -- no tail call: levels are counted
  return octets
end

-- Returns the results of the requests. The worker's answer has for each of them whether there is an answer, the number
-- of its frames, and these.
local function results_of(values, count)
  local results, at = {}, 1
  for i = 1, count do
    local last = at + 1 + floor(tonumber(values[at + 1]))
    if values[at] == 'ok' then
      local frames = {}
      for j = at + 2, last do
        frames[j - at - 1] = values[j]
      end
      results[i] = { reply = frames[1], frames = frames }
    else
      results[i] = { error = values[at + 2] }
    end
    at = last + 1
  end
  return results
end

function asking.request_all(list)
  if type(list) ~= 'table' then
    error("bad argument #1 to 'request_all' (table expected, got " .. type(list) .. ')', 2)
  end
  local timeout, parts, sizes, count = rawget(list, 'timeout'), {}, {}, 0
  local whole = timeout == nil and '' or timeout_of(timeout, '', 2)
  while true do
    local item = rawget(list, count + 1)
    if item == nil then
      break
    elseif count == MAX_REQUESTS then
      bad_item(2, 'more than %d requests', MAX_REQUESTS)
    end
    count = count + 1
    sizes[count] = add_request(parts, item, count)
  end
  if count == 0 and next(list) ~= nil and timeout == nil then
    bad_item(2, 'a list of tables is expected, one for each request')
  end
  for i = 1, count do
    sending.count_message(sizes[i])
  end
  local values = pack(ask('alaska.request_all', 3, 'request.all', whole, concat(parts)))
  return results_of(values, count)
end

return asking
