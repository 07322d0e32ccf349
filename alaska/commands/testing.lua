-- Runs the tests of one file: the first content frame is its source, the second one its name. The tester answers the
-- requests to the service "script": it runs the script that is tested (alaska/commands/script_tests.py).
local source, chunk_name = alaska.frames[1], alaska.frames[2]
local format, concat = string.format, table.concat

-- Texts

local function shown(value, depth)
  depth = depth or 0
  if type(value) == 'string' then
    return format('%q', value):gsub('\\\n', '\\n')
  elseif type(value) ~= 'table' or depth > 6 then
    return tostring(value)
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return type(a) == type(b) and (type(a) == 'number' or type(a) == 'string') and a < b or type(a) < type(b)
  end)
  for _, key in ipairs(keys) do
    local name = type(key) == 'string' and key:match('^[%a_][%w_]*$') and key or '[' .. shown(key, depth + 1) .. ']'
    if type(key) == 'number' and key <= #value then
      parts[#parts + 1] = shown(value[key], depth + 1)
    else
      parts[#parts + 1] = name .. ' = ' .. shown(value[key], depth + 1)
    end
  end
  return '{' .. concat(parts, ', ') .. '}'
end

local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

-- What the test gives to the script, as a list of frames: a word, and the values that belong to it.

local PLAIN = { 'subject', 'sender', 'tracker', 'attempt', 'snoozes', 'stream', 'position' }
local KNOWN = { content = true, headers = true, requests = true, kv = true }
for _, name in ipairs(PLAIN) do
  KNOWN[name] = true
end

-- The worker's form of a value of the key-value store: its kind, and a text.
local function kept(value)
  if type(value) == 'string' then
    return 's' .. value
  elseif type(value) == 'boolean' then
    return value and 'b1' or 'b0'
  elseif type(value) == 'number' then
    return value % 1 == 0 and format('i%d', value) or format('d%.17g', value)
  end
  return 'j' .. alaska.json.encode(value)
end

local function unkept(octets)
  local kind, text = octets:sub(1, 1), octets:sub(2)
  if kind == 's' then
    return text
  elseif kind == 'b' then
    return text == '1'
  end
  return kind == 'j' and alaska.json.decode(text) or tonumber(text)
end

local function frames_of(given)
  local frames = {}
  local function add(...)
    for _, value in ipairs { ... } do
      frames[#frames + 1] = tostring(value)
    end
  end
  for name in pairs(given) do
    if not KNOWN[name] then
      error(format("given{} has no field '%s'", tostring(name)), 3)
    end
  end
  for _, name in ipairs(PLAIN) do
    if given[name] ~= nil then
      add('field', name, given[name])
    end
  end
  local content = given.content
  if type(content) ~= 'table' then
    content = { content }
  end
  for _, frame in ipairs(content) do
    add('frame', type(frame) == 'table' and alaska.json.encode(frame) or frame)
  end
  for name, value in pairs(given.headers or {}) do
    add('header', name, value)
  end
  for name, value in pairs(given.kv or {}) do
    add('kv', name, kept(value))
  end
  for name, answer in pairs(given.requests or {}) do
    if type(answer) == 'table' then
      add('refuse', name, answer.error or 'refused')
    else
      add('answer', name, answer)
    end
  end
  return frames
end

-- What the tester answers: words with their values, as above.

local function reader_of(frames)
  local at = 0
  return function()
    at = at + 1
    return frames[at]
  end
end

local function counted(read)
  local values = {}
  for i = 1, tonumber(read()) do
    values[i] = read()
  end
  return values
end

local function pairs_of(read)
  local values = {}
  for _ = 1, tonumber(read()) do
    local name = read()
    values[name] = read()
  end
  return values
end

local function result_of(frames)
  local result = { sent = {}, logged = {}, asked = {}, output = '', seconds = 0 }
  local read = reader_of(frames)
  for word in read do
    if word == 'sent' then
      local message = { kind = read(), to = read(), subject = read() }
      message.headers, message.terms, message.frames = pairs_of(read), pairs_of(read), counted(read)
      message.content = message.frames[1]
      result.sent[#result.sent + 1] = message
    elseif word == 'answer' then
      result.answers = counted(read)
      result.answer = result.answers[1]
    elseif word == 'log' then
      result.logged[#result.logged + 1] = { level = read(), text = read() }
    elseif word == 'asked' then
      local asked = { service = read(), subject = read() }
      asked.frames = counted(read)
      asked.content = asked.frames[1]
      result.asked[#result.asked + 1] = asked
    elseif word == 'verdict' then
      result.verdict = { kind = read(), seconds = tonumber(read()), why = read() }
    elseif word == 'kv' then
      result.kv = pairs_of(read)
      for name, value in pairs(result.kv) do
        result.kv[name] = unkept(value)
      end
    elseif word == 'seconds' or word == 'progress' then
      result[word] = tonumber(read())
    else
      result[word] = read()
    end
  end
  return result
end

local world = {}

function world.given(fields)
  local item = frames_of(fields or {})
  item.service, item.subject, item.timeout = 'script', 'run', 3600
  local answer = alaska.request_all({ item, timeout = 3600 })[1]
  if answer.error then
    error(answer.error, 2)
  end
  return result_of(answer.frames)
end

function world.expect(actual, expected, what)
  if not same(actual, expected) then
    error(format('%sexpected %s, got %s', what and what .. ': ' or '', shown(expected), shown(actual)), 2)
  end
  return actual
end

function world.expect_match(text, pattern, what)
  if type(text) ~= 'string' or not text:find(pattern) then
    error(format('%sexpected a text that matches %s, got %s', what and what .. ': ' or '', shown(pattern), shown(text)), 2)
  end
  return text
end

function world.expect_ok(result)
  if result.error then
    error('the script failed: ' .. result.error, 2)
  end
  return result
end

local function report(...)
  local item = { ... }
  item.service, item.subject = 'script', 'report'
  alaska.request_all { item }
end

function world.test(name, body)
  local began = os.clock()
  local ok, why = xpcall(body, function(message)
    return tostring(message)
  end)
  report(tostring(name), ok and 'ok' or 'failed', ok and '' or why, tostring(os.clock() - began))
end

local chunk, why = load(source, '@' .. chunk_name, 't', setmetatable(world, { __index = _G }))
if not chunk then
  report('', 'broken', why, '0')
  return
end
local ok, message = pcall(chunk)
if not ok then
  report('', 'broken', tostring(message), '0')
end
