-- Returns a function that tells the time in seconds, from any beginning: to the nanosecond in LuaJIT, else to the
-- hundredth of a second where Linux says how long it has been up, else to the second. A second function is quicker; it
-- may count what other threads of the process compute as well, and not count time that the process sleeps.
local ffi = ...

local MONOTONIC = { Linux = 1, OSX = 6, BSD = 4 }

if ffi and MONOTONIC[ffi.os] then
  ffi.cdef 'typedef struct { long seconds, nanoseconds; } alaska_time; int clock_gettime(int, alaska_time *);'
  local which, gettime, now = MONOTONIC[ffi.os], ffi.C.clock_gettime, ffi.new 'alaska_time'
  local function clock()
    gettime(which, now)
    return tonumber(now.seconds) + tonumber(now.nanoseconds) * 1e-9
  end
  return clock, clock
end

local time, tonumber, match = os.time, tonumber, string.match
local file = io.open '/proc/uptime'
if not file or not tonumber(match(file:read(32) or '', '^[%d.]+')) then
  return time, os.clock
end
-- Without a buffer, each reading asks anew, and for no more than it needs.
file:setvbuf 'no'
local seek, read = file.seek, file.read
return function()
  seek(file, 'set')
  return tonumber(match(read(file, 16) or '', '^[%d.]+')) or time()
end, os.clock
