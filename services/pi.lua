-- Service "pi": approximates pi and publishes the result.
--
-- The result goes to a mailbox, where it waits until a client fetches it, and to a stream, where the clients that read
-- the stream at this moment get it.

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
