-- Service "pi": approximates pi and tells everybody.
--
-- The result goes to a mailbox, where it waits until somebody fetches it, and to a stream, where whoever reads at
-- this moment gets it.

local STEPS = 28

-- Nilakantha's series: pi = 3 + 4/(2*3*4) - 4/(4*5*6) + 4/(6*7*8) - ...
local function approximate_pi(steps)
  local sum = 3
  local sign = 1
  for step = 1, steps do
    local even = 2 * step
    sum = sum + sign * 4 / (even * (even + 1) * (even + 2))
    sign = -sign
  end
  return sum
end

local result = approximate_pi(STEPS)
local subject = 'pi.' .. STEPS

sendTo(subject, result, 'aw.res.pi') -- to the mailbox aw.res.pi
send(subject, result, 'numbers') -- to the stream numbers
