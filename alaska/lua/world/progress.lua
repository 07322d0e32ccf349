-- alaska.progress: tells the worker, now and then, how far the work of a run is.
--
-- Only the newest progress matters. So a call stores it, and it is delivered at most every INTERVAL seconds: by a later
-- call, by a check of the limits, before a call that waits, or with the results of the run.
local run, limits, sending = ...

local error, type, format, sub, time = error, type, string.format, string.sub, os.time
local clock, quick = limits.clock, limits.quick
local as_text = sending.as_text

local INTERVAL = 0.25
local PATIENCE = 0.01 -- seconds by the fast clock between two readings of the exact one
local MAX_CALLS = 64 -- calls between two readings of the fast clock
local MAX_TEXT = 244 -- octets; the worker cuts them to 240, after a whole character

local progress = {}
local fraction, text -- the newest progress that was not delivered
local delivered_at -- time of the last delivery by the exact clock
local read_at, second -- when that clock was read last, by the fast clock and in seconds
local calls = 0 -- since the fast clock was read

-- Returns whether enough time has passed for another delivery.
local function is_due()
  calls = 0
  local now = quick()
  -- The fast clock may stand still while the process sleeps.
  if read_at and now - read_at < PATIENCE and now >= read_at and time() == second then
    return false
  end
  read_at, second = now, time()
  local seen = clock()
  return not delivered_at or seen - delivered_at >= INTERVAL or seen < delivered_at
end

-- Moves the newest progress to the output that is delivered next.
function progress.take()
  if fraction then
    local number = format('%.4g', fraction)
    fraction, delivered_at = nil, clock()
    sending.append('progress', number, text, '', 0)
  end
end

-- Called by checks of the limits while there is progress to deliver.
function progress.deliver_if_due()
  if fraction and is_due() then
    progress.take()
    sending.deliver()
  end
  run.has_progress = fraction ~= nil
end

-- Called before and after the script waits, which may take long: the exact clock is read at the next opportunity.
function progress.waits()
  read_at = nil
  if run.has_progress then
    progress.deliver_if_due()
  end
end

function progress.progress(done, words)
  if type(done) ~= 'number' or not (done >= 0 and done <= 1) then
    error("bad argument #1 to 'progress' (a number from 0 to 1 is expected)", 2)
  end
  words = words == nil and '' or as_text(words, 2, 'text', 'progress', nil, 2)
  if run.ended_by then
    limits.end_script()
  end
  run.dirty, run.has_progress = true, true
  fraction, text = done, #words > MAX_TEXT and sub(words, 1, MAX_TEXT) or words
  calls = calls + 1
  if calls >= MAX_CALLS or not read_at or time() ~= second then
    progress.deliver_if_due()
  end
end

function progress.begin()
  fraction, text, delivered_at, read_at, calls, run.has_progress = nil, nil, nil, nil, 0, nil
end

return progress
