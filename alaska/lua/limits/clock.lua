-- Returns two functions that return the time in seconds since an arbitrary start.
--
-- The first is wall-clock time. Its resolution is a nanosecond in LuaJIT, 10 ms where Linux has /proc/uptime, else one
-- second. The second is faster, but may count CPU time: it may include other threads of the process, and may not
-- advance while the process sleeps.
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
-- Unbuffered, so that each read returns the current value, and few octets are read.
file:setvbuf 'no'
local seek, read = file.seek, file.read
return function()
  seek(file, 'set')
  return tonumber(match(read(file, 16) or '', '^[%d.]+')) or time()
end, os.clock
