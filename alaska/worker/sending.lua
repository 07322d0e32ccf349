-- send and sendTo: what a script wants sent is written down here, and leaves when the script has ended.
local run, settings, limits = ...

local LIMIT = 255 -- octets of a string on the wire
local BATCH = 300 -- values handed to Python at once; a Lua stack has an end
local FIELDS = 6 -- values for a send: is it for a stream, topic, subject, sender, content, attachment or false
local DEFAULT_TOPIC = 'aw.res'
local DEFAULT_SENDER = 'LU'

local error, type, select, format = error, type, select, string.format
local unpack = table.unpack
local SENDS, SIZE = 'worker/scripts/sends', 'worker/scripts/sends-size'
local most, most_octets = settings.sends, settings.sends_size
local too_many = limits.text(SENDS, 'the script sends more than %d messages', most)
local too_much = limits.text(SIZE, 'the script sends more than %d octets', most_octets)

local values, count, octets = {}, 0, 0

-- Returns an argument as text; a number becomes text by Lua's own rule. An error has the place of the script, which
-- called send, which called record.
local function as_text(value, position, what, call, limit)
  local kind = type(value)
  if kind == 'number' then
    value = value .. ''
  elseif kind ~= 'string' then
    error(format("bad argument #%d to '%s' (the %s must be a string or a number, not %s)", position, call, what,
      kind == 'nil' and kind or 'a ' .. kind), 4)
  end
  if limit and #value > limit then
    error(format("bad argument #%d to '%s' (the %s has %d octets, and %d is the limit)", position, call, what, #value,
      limit), 4)
  end
  return value
end

local function record(call, place, given, subject, content, topic, attachment, sender)
  if given < 2 then
    error(format('%s needs at least 2 arguments: %s(subject, content, [%s], [attachment], [sender])', call, call,
      place), 3)
  end
  if run.over then
    limits.leave()
  end
  subject = as_text(subject, 1, 'subject', call, LIMIT)
  content = as_text(content, 2, 'content', call)
  topic = topic == nil and DEFAULT_TOPIC or as_text(topic, 3, place, call, LIMIT)
  attachment = attachment ~= nil and as_text(attachment, 4, 'attachment', call)
  sender = sender == nil and DEFAULT_SENDER or as_text(sender, 5, 'sender', call, LIMIT)
  octets = octets + #content + (attachment and #attachment or 0)
  if most > 0 and count >= most * FIELDS then
    limits.exceed(SENDS, too_many)
  elseif most_octets > 0 and octets > most_octets then
    limits.exceed(SIZE, too_much)
  end
  local n = count
  values[n + 1], values[n + 2], values[n + 3] = place == 'stream', topic, subject
  values[n + 4], values[n + 5], values[n + 6] = sender, content, attachment
  run.touched = true
  count = n + FIELDS -- last, since memory may be short before
  return 0
end

local sending = {}

function sending.send(...)
  -- No tail call: the error's position is found by counting callers.
  local zero = record('send', 'stream', select('#', ...), ...)
  return zero
end

function sending.sendTo(...)
  local zero = record('sendTo', 'mailbox', select('#', ...), ...)
  return zero
end

function sending.begin()
  if count ~= 0 then
    values, count = {}, 0
  end
  octets = 0
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
