-- alaska.cancelled: whether the request of this run was cancelled; and the end of runs that are cancelled with force.
--
-- The worker knows. A script that runs for a while asks it now and then, at a check of the limits where it can yield.
local run, settings, limits, questions = ...

local time = os.time
local quick = limits.quick
local isyieldable = coroutine.isyieldable

local INTERVAL = 0.05 -- seconds by the fast clock for which an answer is not asked for again
local TEXT = 'the request was cancelled'

local can_ask = settings.partial_results -- otherwise there is no worker that could know
local cancelling = {}
local asked_at, second -- when the worker was asked last, by the fast clock and in seconds

-- Asks the worker, and ends the run if it is cancelled with force.
local function ask()
  asked_at, second = quick(), time()
  local is_good, level = questions.ask 'cancelled'
  if is_good and level then
    run.cancelled = true
    if level == '2' then
      limits.exceed('cancel', TEXT)
    end
  end
end

-- Called by the checks of the limits after a while, and again and again.
function limits.check_cancelled()
  if can_ask and isyieldable() and not run.ended_by then
    ask()
  end
end

-- Called when the script has waited: the fast clock may not have counted that.
function cancelling.waited()
  asked_at = nil
  if time() ~= second then
    second = time()
    limits.check_cancelled_soon()
  end
end

function cancelling.cancelled()
  if run.ended_by then
    limits.end_script()
  end
  run.dirty = true
  if not run.cancelled and can_ask and isyieldable() then
    local now = quick()
    -- The fast clock may stand still while the process sleeps.
    if not asked_at or now - asked_at >= INTERVAL or now < asked_at or time() ~= second then
      ask()
    end
  end
  return run.cancelled or false
end

function cancelling.begin()
  asked_at, run.cancelled = nil, nil
end

return cancelling
