-- send, sendTo, sendFor and alaska.later: their arguments, as messages for the buffer of `sending`.
local sending, terms = ...

local error, next, select, type, format = error, next, select, type, string.format
local unpack = table.unpack
local as_text, LIMIT, DEFAULT_SENDER = sending.as_text, sending.LIMIT, sending.DEFAULT_SENDER
local add, count_message, count_sender = sending.add, sending.count_message, sending.count_sender

local MORE = '+more'
local MAX_FRAMES = 200 -- frames of alaska.later
local MAX_HEADERS, MAX_HEADERS_OCTETS = 24, 32 * 1024 -- the wire allows 32 properties of 64 KiB, of which some are ours
local MAX_NAME = LIMIT - #'h-'
local default_topics = { stream = 'aw.res', mailbox = 'aw.res', service = '' }

-- Adds a message with a list of frames, a list of headers and a list of terms.
local function add_with_more(place, topic, subject, sender, frames, headers, term_list)
  local more, n = { #frames }, 1
  for i = 1, #frames do
    more[n + i] = frames[i]
  end
  n = n + #frames + 1
  more[n] = #headers / 2
  for i = 1, #headers do
    more[n + i] = headers[i]
  end
  n = n + #headers
  for i = 1, #term_list do
    more[n + i] = term_list[i]
  end
  n = n + #term_list
  add(place .. MORE, topic, subject, sender, n, unpack(more, 1, n))
end

-- Returns the headers in a table as a list of names and values, and their octets; `level` is that of `as_text`.
local function headers_of(headers, call, level)
  local list, size, number = {}, 0, 0
  for name, value in next, headers do
    number = number + 1
    if number > MAX_HEADERS then
      error(format("bad argument #6 to '%s' (more than %d headers)", call, MAX_HEADERS), level + 1)
    elseif type(name) ~= 'string' then
      error(format("bad argument #6 to '%s' (the name of a header must be a string, not a %s)", call, type(name)),
        level + 1)
    end
    as_text(name, 6, 'name of a header', call, MAX_NAME, level + 1)
    value = as_text(value, 6, 'value of a header', call, MAX_HEADERS_OCTETS, level + 1)
    list[2 * number - 1], list[2 * number] = name, value
    size = size + #name + #value
  end
  if size > MAX_HEADERS_OCTETS then
    error(format("bad argument #6 to '%s' (headers of %d octets, and %d is the limit)", call, size, MAX_HEADERS_OCTETS),
      level + 1)
  end
  return list, size
end

-- An empty table in the place of a text is an error, as it always was.
local function is_terms(value)
  return type(value) == 'table' and next(value) ~= nil
end

-- Returns the terms that are the last of some arguments of sendTo or sendFor, before the headers, or after them; and the
-- arguments from the third on without those terms. Headers are the sixth argument, so a table there is none.
local function split_terms(given, topic, attachment, sender, given_terms)
  if given == 3 and is_terms(topic) then
    return topic, 3
  elseif given == 4 and is_terms(attachment) then
    return attachment, 4, topic
  elseif given == 5 and is_terms(sender) then
    return sender, 5, topic, attachment
  end
  return given_terms, 7, topic, attachment, sender
end

local function send_message(call, place, given, subject, content, topic, attachment, sender, headers, given_terms)
  if given < 2 then
    error(format('%s needs at least 2 arguments: %s(subject, content, [%s], [attachment], [sender], [headers])', call,
      call, place), 3)
  end
  local position
  if given > 2 and place ~= 'stream' then
    given_terms, position, topic, attachment, sender = split_terms(given, topic, attachment, sender, given_terms)
  end
  subject = as_text(subject, 1, 'subject', call, LIMIT, 3)
  content = as_text(content, 2, 'content', call, nil, 3)
  topic = topic == nil and default_topics[place] or as_text(topic, 3, place, call, LIMIT, 3)
  attachment = attachment ~= nil and as_text(attachment, 4, 'attachment', call, nil, 3)
  sender = sender == nil and DEFAULT_SENDER or as_text(sender, 5, 'sender', call, LIMIT, 3)
  local list, size
  if type(headers) == 'table' then -- anything else is ignored, like further arguments
    list, size = headers_of(headers, call, 3)
  end
  local term_list, term_size
  if position and given_terms ~= nil then
    term_list, term_size = terms.list(given_terms, position, call, 3)
  end
  count_message(#content + (attachment and #attachment or 0) + (size or 0) + (term_size or 0))
  if sender ~= DEFAULT_SENDER then
    count_sender(sender)
  end
  if list and #list > 0 or term_list and #term_list > 0 then
    add_with_more(place, topic, subject, sender, { content, attachment or nil }, list or {}, term_list or {})
  else
    add(place, topic, subject, sender, attachment and 2 or 1, content, attachment)
  end
  return 0
end

local messages = {}

function messages.send(...)
  -- No tail call: the position of an error is found by counting levels.
  local zero = send_message('send', 'stream', select('#', ...), ...)
  return zero
end

function messages.sendTo(...)
  local zero = send_message('sendTo', 'mailbox', select('#', ...), ...)
  return zero
end

function messages.sendFor(...)
  local zero = send_message('sendFor', 'service', select('#', ...), ...)
  return zero
end

local function send_later(given, delay, service, subject, ...)
  if given < 3 then
    error('later needs at least 3 arguments: later(seconds, service, subject, [content, ...], [terms])', 3)
  end
  local wait, expected = terms.duration(delay)
  if not wait then
    error(format("bad argument #1 to 'later' (it must be %s)", expected), 3)
  end
  service = service == nil and '' or as_text(service, 2, 'service', 'later', LIMIT, 3)
  subject = as_text(subject, 3, 'subject', 'later', LIMIT, 3)
  local frames, n, list, size = { ... }, given - 3, {}, 0
  if type(frames[n]) == 'table' then
    list, size = terms.list(frames[n], given, 'later', 3)
    if terms.has_time(frames[n]) then
      error(format("bad argument #%d to 'later' (the first argument says when, so there is no term delay or at)", given),
        3)
    end
    frames[n], n = nil, n - 1
  end
  n = n > 0 and n or 1
  if n > MAX_FRAMES then
    error(format("'later' was given %d frames of content, and %d is the limit", n, MAX_FRAMES), 3)
  end
  for i = 1, n do
    frames[i] = frames[i] == nil and '' or as_text(frames[i], 3 + i, 'content', 'later', nil, 3)
    size = size + #frames[i]
  end
  count_message(size)
  list[#list + 1], list[#list + 2] = 'delay', wait
  add_with_more('service', service, subject, DEFAULT_SENDER, frames, {}, list)
end

-- Sends a request that is delivered later.
function messages.later(...)
  send_later(select('#', ...), ...) -- no tail call, as above
end

return messages
