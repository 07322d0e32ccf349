-- send, sendTo, sendFor, replies and log lines. They are buffered, and delivered to the worker during the run or with
-- its results.
--
-- A delivery takes longer than a small script. So the output of a script known to be fast is delivered with its
-- results, or once it turns out to be slow; the clock is read now and then to detect that. Other scripts are `eager`:
-- their output is delivered at once, unless there was a delivery just before.
local run, settings, limits, console, questions = ...

local LIMIT = 255 -- maximum octets of a string on the wire
local BATCH = 300 -- maximum number of values per call to Python; the Lua stack is limited
local DEFAULT_SENDER = 'LU'

local MAX_AGE, PAUSE = 0.01, 0.01 -- seconds: maximum age of undelivered output; minimum time between two deliveries
local QUICK = 0.005 -- seconds: a script with output that ends within this time is no longer eager
local CLOCK_INTERVAL = 16 -- the clock is read at every 16th message or line

local error, type, select, format = error, type, select, string.format
local isyieldable, ask = coroutine.isyieldable, questions.ask
local clock, quick = limits.clock, limits.quick
local unpack = table.unpack
local SENDS, SIZE, OUTPUT = 'worker/scripts/sends', 'worker/scripts/sends-size', 'worker/scripts/output'
local SENDERS = 'worker/scripts/senders'
local most, most_octets, most_logged = settings.sends, settings.sends_size, settings.output
local most_senders = settings.senders
local too_many_senders = limits.text(SENDERS, 'the script uses more than %d sender names', most_senders)
local too_many = limits.text(SENDS, 'the script sends more than %d messages', most)
local too_much = limits.text(SIZE, 'the script sends more than %d octets', most_octets)
local too_much_logged = limits.text(OUTPUT, 'the script logged more than %d octets', most_logged)

-- For each message: its kind, topic, subject, sender, the number of frames, and the frames. If it has headers or terms,
-- MORE is appended to its kind, and the frames are: the number of frames of the content, these, the number of headers,
-- the name and value of each, and the name and value of each term. For each log line: 'log', the level, '', '', 1, and the text. Output printed before a log
-- line is stored before it: 'print', '', '', '', 1, and the lines. For each mark of tracing.lua: 'mark', the event or '',
-- the time, '', and as frames names and values. For a verdict: 'verdict', its kind, the seconds or '', '', 1, and why.
-- For progress: 'progress', the fraction, the text. The worker already has the first `delivered` values; those up to
-- `delivering` are being delivered.
local values, count, delivered, delivering = {}, 0, 0, nil
local delivered_at -- time of the last delivery
local is_refused = not settings.partial_results -- the worker accepts nothing before the end of the script
local outputs = 0
local started_at = 0
local senders, sender_count = {}, 0 -- sender names other than the default
local messages, octets, logged = 0, 0, 0 -- number of messages; octets in messages; octets in log lines

-- Converts an argument to text; a number by Lua's own rule. An error gets the position `level` levels up: 2 is the
-- caller of the function that calls this.
local function as_text(value, position, what, call, limit, level)
  local kind = type(value)
  if kind == 'number' then
    value = value .. ''
  elseif kind ~= 'string' then
    error(format("bad argument #%d to '%s' (the %s must be a string or a number, not %s)", position, call, what,
      kind == 'nil' and kind or 'a ' .. kind), level + 1)
  end
  if limit and #value > limit then
    error(format("bad argument #%d to '%s' (the %s has %d octets, and %d is the limit)", position, call, what, #value,
      limit), level + 1)
  end
  return value
end

-- Appends a message with these frames.
local function append(kind, topic, subject, sender, frames, ...)
  local n = count
  values[n + 1], values[n + 2], values[n + 3], values[n + 4], values[n + 5] = kind, topic, subject, sender, frames
  if frames == 1 then
    values[n + 6] = ...
  else
    for i = 1, frames do
      values[n + 5 + i] = (select(i, ...))
    end
  end
  run.dirty = true
  count = n + 5 + frames -- assigned last, because the lines above may run out of memory
end

-- Delivery during the run

-- Moves captured output, in complete lines, into the buffer, so that it stays in order with log lines.
local function append_printed_lines()
  local lines = console.take_lines()
  if lines then
    append('print', '', '', '', 1, lines)
  end
end

-- Returns the index of the last value that fits into one batch without splitting a message.
local function end_of_batch()
  local last = delivered
  repeat
    local next_last = last + 5 + values[last + 5]
    if next_last - delivered > BATCH then
      return last
    end
    last = next_last
  until last >= count
  return last
end

-- Delivers all buffered output to the worker by a question, if a yield is possible here.
local function deliver()
  if run.ended_by or is_refused or delivering or not isyieldable() then
    return
  end
  append_printed_lines()
  while delivered < count do
    delivering = end_of_batch()
    ask('partial', unpack(values, delivered + 1, delivering))
    if delivering or is_refused then -- not delivered, or refused by the worker
      delivering = nil
      return
    end
  end
  run.pending_since = nil
end

-- Records whether the worker accepted a delivery. Called before the script is resumed.
local function record_delivery(is_taken)
  if not delivering then
    return
  end
  if is_taken then
    delivered = delivering
    delivered_at = clock()
    if delivered == count then
      values, count, delivered = {}, 0, 0
    end
  else
    is_refused = true
  end
  delivering = nil
end

-- Delivers buffered output if it is too old. Returns the time.
function limits.deliver_if_due(now)
  if run.pending_since == true then
    run.pending_since = now
  elseif now - run.pending_since >= MAX_AGE then
    run.script.eager, run.eager = true, true
    deliver()
    return quick()
  end
  return now
end

-- Called for each message or line except the first one of a fast script.
local function after_output()
  if is_refused then
    return
  elseif run.eager then
    run.pending_since = run.pending_since or true
    if not delivered_at or not limits.check or clock() - delivered_at >= PAUSE then
      deliver()
    end
  else
    outputs = outputs + 1
    if outputs % CLOCK_INTERVAL == 0 then
      limits.deliver_if_due(quick())
    end
  end
end

limits.after_output = after_output

-- Called before an operation that may block.
function limits.deliver_before_wait()
  if run.pending_since then
    deliver()
  end
end

-- Counts a message of `size` octets.
local function count_message(size)
  if run.ended_by then
    limits.end_script()
  end
  run.dirty = true
  messages, octets = messages + 1, octets + size
  if most > 0 and messages > most then
    limits.exceed(SENDS, too_many)
  elseif most_octets > 0 and octets > most_octets then
    limits.exceed(SIZE, too_much)
  end
end

-- Counts a sender name: each needs a connection to the broker.
local function count_sender(sender)
  if not senders[sender] then
    sender_count = sender_count + 1
    if most_senders > 0 and sender_count > most_senders then
      limits.exceed(SENDERS, too_many_senders)
    end
    senders[sender] = true
  end
end

-- Appends a message, log line or other output, and delivers it if that is due.
local function add(...)
  append(...)
  if run.pending_since or run.eager then
    after_output()
  else
    run.pending_since = true
  end
end

local sending = { as_text = as_text, joined = console.joined, LIMIT = LIMIT, BATCH = BATCH,
  DEFAULT_SENDER = DEFAULT_SENDER, add = add, count_sender = count_sender }

-- A request counts as a message, because it causes the same work.
sending.count_message = count_message

-- Appends a reply to the request. The frames are strings.
function sending.reply(frames, ...)
  local size = 0
  for i = 1, frames do
    size = size + #(select(i, ...))
  end
  count_message(size)
  add('reply', '', '', DEFAULT_SENDER, frames, ...)
end

-- Appends a log line.
function sending.log(level, text)
  if run.ended_by then
    limits.end_script()
  end
  logged = logged + #text + 1
  if most_logged > 0 and logged > most_logged then
    limits.exceed(OUTPUT, too_much_logged)
  end
  limits.count_lines(text)
  limits.count_lines '\n'
  if not is_refused then
    append_printed_lines()
  end
  add('log', level, '', '', 1, text)
end

-- Appends a mark: an event or '', the time, the number of names and values, and these.
function sending.mark(event, time, n, ...)
  add('mark', event, time, '', n, ...)
end

-- Appends the verdict of the script about its request (verdicts.lua). It is not delivered during the run.
function sending.verdict(kind, seconds, why)
  append('verdict', kind, seconds, '', 1, why)
end

-- Returns the number of octets in messages and log lines.
function sending.buffered_octets()
  return octets + logged
end

sending.append, sending.deliver, sending.record_delivery = append, deliver, record_delivery

-- Called when an eager script starts.
function sending.begin_eager()
  started_at = quick()
end

-- Called when an eager script has ended.
function sending.end_eager()
  run.script.eager = not limits.check or quick() - started_at >= QUICK
end

function sending.begin()
  if count ~= 0 then
    values, count = {}, 0
  end
  delivered, delivering, delivered_at, run.pending_since = 0, nil, nil, nil
  if sender_count ~= 0 then
    senders, sender_count = {}, 0
  end
  messages, octets, logged = 0, 0, 0
end

-- Returns the number of values that are not delivered yet.
function sending.count()
  return count - delivered
end

-- Returns the number of undelivered values, and the first batch of them.
function sending.results()
  local left = count - delivered
  if left == 0 then
    return 0
  end
  return left, unpack(values, delivered + 1, left < BATCH and count or delivered + BATCH)
end

-- Returns the next batch after the first `taken` values.
function sending.more(taken)
  taken = delivered + taken
  local last = taken + BATCH
  return unpack(values, taken + 1, last < count and last or count)
end

return sending
