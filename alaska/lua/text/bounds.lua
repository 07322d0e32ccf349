-- Installs the time-bounded versions of string, utf8 and os functions, for scripts in the sandbox.
local libraries, limits, part, part_with_checks, guards, note = ...

local pcall, xpcall = pcall, xpcall
local format = string.format
local gsub = string.gsub
local patterns = part 'patterns'(part 'items'(limits.patience), limits.patience)
local fail = part 'placing'()

-- `note` has a second parameter, which xpcall must not fill.
local function noted(value)
  return note(value)
end

-- Calls string.gsub with a function or table as the replacement.
local function call_back(...)
  if guards then
    return pcall(guards.gsub, ...)
  end
  return xpcall(gsub, noted, ...)
end

-- The matcher in Lua is compiled at its first use.
local function make_searching(charge)
  local matcher = part_with_checks 'matching'(patterns, limits.patience, fail)
  return part_with_checks 'searching'(patterns, matcher, charge, fail, note)
end

local charge = part 'strings'(libraries.string, limits, patterns, make_searching, fail, call_back)
part 'long_texts'(libraries, charge, fail, guards and guards.format or number_format, note)
