-- Installs the time-bounded versions of string, utf8 and os functions, for scripts in the sandbox.
local libraries, limits, part, part_with_checks, guards, record = ...

local pcall, xpcall = pcall, xpcall
local format = string.format
local gsub = string.gsub
local patterns = part 'patterns'(part 'items'(limits.check_time), limits.check_time)
local fail = part 'error_position'()

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

-- Calls string.gsub with a function or table as the replacement.
local function call_back(...)
  if guards then
    return pcall(guards.gsub, ...)
  end
  return xpcall(gsub, record_error, ...)
end

-- The matcher in Lua is compiled at its first use.
local function make_searching(charge)
  local matcher = part_with_checks 'matching'(patterns, limits.check_time, fail)
  return part_with_checks 'searching'(patterns, matcher, charge, fail, record)
end

local charge = part 'strings'(libraries.string, limits, patterns, make_searching, fail, call_back)
part 'long_texts'(libraries, charge, fail, guards and guards.format or number_format, record)
