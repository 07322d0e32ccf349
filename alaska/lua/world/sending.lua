-- send, sendTo, sendFor and what else a script leaves behind: it is written down here, and handed over to the worker
-- while the script runs, or when it has ended.
--
-- To hand over takes longer than a small script, so what a script leaves that is known to be quick waits for its end, or
-- until it turns out that it is not: the time is looked at now and then. Others are `eager`: what they leave is handed
-- over at once, unless something just was.
local run, settings, limits, console, questions = ...

local LIMIT = 255 -- octets of a string on the wire
local BATCH = 300 -- values handed to Python at once; a Lua stack has an end
local DEFAULT_SENDER = 'LU'
local default_topics = { stream = 'aw.res', mailbox = 'aw.res', service = '' }

local OLD, PAUSE = 0.01, 0.01 -- seconds after which what waits is handed over, and between two of these
local QUICK = 0.005 -- a script that has left something in less time is no longer eager
local LOOK = 16 -- of so many things that are left, one looks at the time

local error, type, select, format = error, type, select, string.format
local isyieldable, ask = coroutine.isyieldable, questions.ask
local clock, quick = limits.clock, limits.quick
local unpack = table.unpack
local SENDS, SIZE, OUTPUT = 'worker/scripts/sends', 'worker/scripts/sends-size', 'worker/scripts/output'
local SENDERS = 'worker/scripts/senders'
local most, most_octets, most_logged = settings.sends, settings.sends_size, settings.output
local most_senders = settings.senders
local too_many_senders = limits.text(SENDERS, 'the script sends in more than %d names', most_senders)
local too_many = limits.text(SENDS, 'the script sends more than %d messages', most)
local too_much = limits.text(SIZE, 'the script sends more than %d octets', most_octets)
local too_much_logged = limits.text(OUTPUT, 'the script logged more than %d octets', most_logged)

-- For each message: its kind, topic, subject, sender, the number of frames, and the frames. For each line of the log:
-- 'log', the level, '', '', 1, and the text. What was printed before that is there as 'print', '', '', '', 1, and lines.
-- The first `handed` of the values the worker has already, and up to `handing` it is being given.
local values, count, handed, handing = {}, 0, 0, nil
local handed_at -- when that was
local is_refused = not settings.tells -- nobody takes anything before a script has ended
local noted = 0
local began_at = 0
local senders, sender_count = {}, 0 -- the names besides the default in which the script has sent
local messages, octets, logged = 0, 0, 0 -- how many messages, and how much they and the lines of the log hold

-- Returns an argument as text; a number becomes text by Lua's own rule. An error has the place of the script, which is
-- so many levels up: 2 for who called the caller of this.
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

-- Writes down a message of these frames.
local function note(kind, topic, subject, sender, frames, ...)
  local n = count
  values[n + 1], values[n + 2], values[n + 3], values[n + 4], values[n + 5] = kind, topic, subject, sender, frames
  if frames == 1 then
    values[n + 6] = ...
  else
    for i = 1, frames do
      values[n + 5 + i] = (select(i, ...))
    end
  end
  run.touched = true
  count = n + 5 + frames -- last, since memory may be short before
end

-- While it runs

-- Writes down what was printed, in whole lines, so that it stays in order with what is logged.
local function note_lines()
  local lines = console.take_lines()
  if lines then
    note('print', '', '', '', 1, lines)
  end
end

-- Returns how many values there are up to the end of the last message that fits into a batch.
local function end_of_batch()
  local last = handed
  repeat
    local next_last = last + 5 + values[last + 5]
    if next_last - handed > BATCH then
      return last
    end
    last = next_last
  until last >= count
  return last
end

-- Hands over all that waits, where that can be: by a yield to the worker, as a question.
local function hand_over()
  if run.over or is_refused or handing or not isyieldable() then
    return
  end
  note_lines()
  while handed < count do
    handing = end_of_batch()
    ask('told', unpack(values, handed + 1, handing))
    if handing or is_refused then -- it did not get there, or nobody takes it
      handing = nil
      return
    end
  end
  run.waits = nil
end

-- Takes note of whether the worker has taken what it was given; called before the script goes on.
local function answered(is_taken)
  if not handing then
    return
  end
  if is_taken then
    handed = handing
    handed_at = clock()
    if handed == count then
      values, count, handed = {}, 0, 0
    end
  else
    is_refused = true
  end
  handing = nil
end

-- Hands over what waits if it has for too long; returns the time.
function limits.look_at_waiting(now)
  if run.waits == true then
    run.waits = now
  elseif now - run.waits >= OLD then
    run.script.eager, run.eager = true, true
    hand_over()
    return quick()
  end
  return now
end

-- Called when something was left that is not the first which a script that is known to be quick has left.
local function left()
  if is_refused then
    return
  elseif run.eager then
    run.waits = run.waits or true
    if not handed_at or not limits.check or clock() - handed_at >= PAUSE then
      hand_over()
    end
  else
    noted = noted + 1
    if noted % LOOK == 0 then
      limits.look_at_waiting(quick())
    end
  end
end

limits.left = left

-- Called before what may take long.
function limits.before_waiting()
  if run.waits then
    hand_over()
  end
end

-- Counts a message that holds so many octets.
local function take_note(size)
  if run.over then
    limits.leave()
  end
  run.touched = true
  messages, octets = messages + 1, octets + size
  if most > 0 and messages > most then
    limits.exceed(SENDS, too_many)
  elseif most_octets > 0 and octets > most_octets then
    limits.exceed(SIZE, too_much)
  end
end

-- Counts a sender's name: each is a connection to the broker.
local function take_name(sender)
  if not senders[sender] then
    sender_count = sender_count + 1
    if most_senders > 0 and sender_count > most_senders then
      limits.exceed(SENDERS, too_many_senders)
    end
    senders[sender] = true
  end
end

local function record(call, place, given, subject, content, topic, attachment, sender)
  if given < 2 then
    error(format('%s needs at least 2 arguments: %s(subject, content, [%s], [attachment], [sender])', call, call,
      place), 3)
  end
  subject = as_text(subject, 1, 'subject', call, LIMIT, 3)
  content = as_text(content, 2, 'content', call, nil, 3)
  topic = topic == nil and default_topics[place] or as_text(topic, 3, place, call, LIMIT, 3)
  attachment = attachment ~= nil and as_text(attachment, 4, 'attachment', call, nil, 3)
  sender = sender == nil and DEFAULT_SENDER or as_text(sender, 5, 'sender', call, LIMIT, 3)
  take_note(#content + (attachment and #attachment or 0))
  if sender ~= DEFAULT_SENDER then
    take_name(sender)
  end
  note(place, topic, subject, sender, attachment and 2 or 1, content, attachment)
  if run.waits or run.eager then
    left()
  else
    run.waits = true
  end
  return 0
end

local sending = { as_text = as_text, joined = console.joined, LIMIT = LIMIT, BATCH = BATCH }

function sending.send(...)
  -- No tail call: the error's position is found by counting callers.
  local zero = record('send', 'stream', select('#', ...), ...)
  return zero
end

function sending.sendTo(...)
  local zero = record('sendTo', 'mailbox', select('#', ...), ...)
  return zero
end

function sending.sendFor(...)
  local zero = record('sendFor', 'service', select('#', ...), ...)
  return zero
end

-- Counts a question, which makes as much work for others as a message.
sending.take_note = take_note

-- Writes down an answer to the request; the frames are text.
function sending.reply(frames, ...)
  local size = 0
  for i = 1, frames do
    size = size + #(select(i, ...))
  end
  take_note(size)
  note('reply', '', '', DEFAULT_SENDER, frames, ...)
  if run.waits or run.eager then
    left()
  else
    run.waits = true
  end
end

-- Writes down a line for the log.
function sending.log(level, text)
  if run.over then
    limits.leave()
  end
  logged = logged + #text + 1
  if most_logged > 0 and logged > most_logged then
    limits.exceed(OUTPUT, too_much_logged)
  end
  limits.count_lines(text)
  limits.count_lines '\n'
  if not is_refused then
    note_lines()
  end
  note('log', level, '', '', 1, text)
  if run.waits or run.eager then
    left()
  else
    run.waits = true
  end
end

-- Returns how many octets are written down.
function sending.held()
  return octets + logged
end

sending.answered = answered

-- Called when a script begins that is eager.
function sending.begin_eager()
  began_at = quick()
end

-- Called when a script has ended that is eager.
function sending.end_eager()
  run.script.eager = not limits.check or quick() - began_at >= QUICK
end

function sending.begin()
  if count ~= 0 then
    values, count = {}, 0
  end
  handed, handing, handed_at, run.waits = 0, nil, nil, nil
  if sender_count ~= 0 then
    senders, sender_count = {}, 0
  end
  messages, octets, logged = 0, 0, 0
end

-- Returns how many values describe what is written down.
function sending.count()
  return count - handed
end

-- Returns the number of values and the first batch of them.
function sending.results()
  local left = count - handed
  if left == 0 then
    return 0
  end
  return left, unpack(values, handed + 1, left < BATCH and count or handed + BATCH)
end

-- Returns the batch that follows the first `taken` values.
function sending.more(taken)
  taken = handed + taken
  local last = taken + BATCH
  return unpack(values, taken + 1, last < count and last or count)
end

return sending
