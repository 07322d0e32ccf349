-- send, sendTo, sendFor and what else a script leaves behind: it is written down here, and leaves when the script has
-- ended.
local run, settings, limits = ...

local LIMIT = 255 -- octets of a string on the wire
local BATCH = 300 -- values handed to Python at once; a Lua stack has an end
local DEFAULT_SENDER = 'LU'
local default_topics = { stream = 'aw.res', mailbox = 'aw.res', service = '' }

local error, type, select, format = error, type, select, string.format
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
-- 'log', the level, '', '', 1, and the text.
local values, count = {}, 0
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

-- Counts a message that holds so many octets.
local function take_note(size)
  if run.over then
    limits.leave()
  end
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
  return 0
end

local sending = { as_text = as_text, LIMIT = LIMIT, BATCH = BATCH }

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

-- Writes down an answer to the request; the frames are text.
function sending.reply(frames, ...)
  local size = 0
  for i = 1, frames do
    size = size + #(select(i, ...))
  end
  take_note(size)
  note('reply', '', '', DEFAULT_SENDER, frames, ...)
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
  note('log', level, '', '', 1, text)
end

-- Returns how many octets are written down.
function sending.held()
  return octets + logged
end

function sending.begin()
  if count ~= 0 then
    values, count = {}, 0
  end
  if sender_count ~= 0 then
    senders, sender_count = {}, 0
  end
  messages, octets, logged = 0, 0, 0
end

-- Returns how many values describe what is written down.
function sending.count()
  return count
end

-- Returns the number of values and the first batch of them.
function sending.results()
  if count == 0 then
    return 0
  end
  return count, unpack(values, 1, count < BATCH and count or BATCH)
end

-- Returns the batch that follows the first `taken` values.
function sending.more(taken)
  local last = taken + BATCH
  return unpack(values, taken + 1, last < count and last or count)
end

return sending
