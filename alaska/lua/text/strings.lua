-- string.find, match, gmatch and gsub in the sandbox. No call blocks a thread for longer than a moment, and slow calls
-- check the time.
--
-- Calls that C certainly finishes in time, which are most, go directly to C.
local string, limits, patterns, make_searching, fail, call_back = ...

local error, pcall, tonumber, type = error, pcall, tonumber, type
local byte, find, gmatch, gsub, match = string.byte, string.find, string.gmatch, string.gsub, string.match
local math_type, tointeger = math.type, math.tointeger
local is_5_1 = setfenv ~= nil

local QUICK, SLOW, TRY, LONGEST = patterns.QUICK, patterns.SLOW, patterns.TRY, patterns.LONGEST
local MAX_CACHED = patterns.MAX_CACHED
local MAX_REFERRED = 32 -- octets of the longest replacement in the cache
local REFERENCES = 1000 -- references in a replacement between two time checks
local FEW = 1000 -- octets of the longest subject for which C may call a script's function at each match

-- Time

local debt = 0

-- Adds a fraction of the budget between two time checks. Checks the time when the budget is used up.
local function charge(share)
  debt = debt + share
  if debt > 1 then
    debt = 0
    limits.check_time()
  end
end

local searching -- created at its first use
local function long_search()
  searching = searching or make_searching(charge)
  return searching
end

-- Caches of patterns and replacements

local count, known, quick_every, wrong = 0, {}, {}, {} -- `known` and `quick_every` have well-formed patterns only
local text_count, texts, escaped_texts = 0, {}, {} -- plain text -> longest subject that needs no time check
local reference_count, references = 0, {}

local function remember(pattern, found)
  if count == MAX_CACHED then
    count, known, quick_every, wrong = 0, {}, {}, {}
  end
  count = count + 1
  if found.is_valid then
    known[pattern], quick_every[pattern] = found, found.quick_every
  else
    wrong[pattern] = found
  end
end

local function known_of(pattern)
  local found = known[pattern] or wrong[pattern]
  if not found then
    found = patterns.analysed(pattern)
    if #pattern <= LONGEST then
      remember(pattern, found)
    end
  end
  return found
end

-- Returns the highest capture number in a replacement, or nil if the replacement is malformed.
local function references_in(text)
  local highest = references[text]
  if highest then
    return highest
  end
  highest = 0
  local left = REFERENCES
  for escaped in gmatch(text, '%%(.?)') do
    left = left - 1
    if left == 0 then
      limits.check_time()
      left = REFERENCES
    end
    local number = tonumber(escaped)
    if number then
      highest = number > highest and number or highest
    elseif escaped ~= '%' then
      return nil
    end
  end
  if #text <= MAX_REFERRED then
    if reference_count == MAX_CACHED then
      references, reference_count = {}, 0
    end
    references[text], reference_count = highest, reference_count + 1
  end
  return highest
end

-- Arguments

local function text_of(value)
  return type(value) == 'number' and value .. '' or value
end

local function is_text(value)
  local kind = type(value)
  return kind == 'string' or kind == 'number'
end

-- Converts a value to an integer as C does, or returns nil.
local function integer_of(value)
  local number = is_text(value) and tonumber(value)
  if number and is_5_1 then
    number = number > -2 ^ 31 and number < 2 ^ 31 and number or -2 ^ 31
    return number < 0 and -(-number - -number % 1) or number - number % 1
  end
  return number and tointeger(number)
end

-- The function and its result that identify an integer. LuaJIT accepts any number.
local kind_of, INTEGER = math_type or type, math_type and 'integer' or 'number'

-- Converts `init` to an absolute position, from 1 on.
local function position_of(init, length)
  local position = init == nil and 1 or integer_of(init)
  if position < 0 then
    position = length + position + 1
  end
  if is_5_1 and position > length then
    return length + 1
  end
  return position < 1 and 1 or position
end

-- Raises the error that the C function raises for these arguments. Texts are left out, because they do not cause it.
local function refuse(c, s, pattern, ...)
  local _, text = pcall(c, type(s) == 'string' and '' or s, type(pattern) == 'string' and '' or pattern, ...)
  fail(text)
end

-- Returns the results of a pcall, or raises its error with the position of the caller.
local function results_or_error(is_valid, ...)
  if is_valid then
    return ...
  end
  fail((...))
end

-- Searching

-- Calls the C function, which finishes in time.
local function found_by_c(c, found, s, ...)
  charge(#s / found.once)
  if found.is_valid then
    return c(s, ...)
  end
  return results_or_error(pcall(c, s, ...))
end

local function find_plain(s, text, position)
  local cost = #s * (TRY + #text / 8)
  if cost > SLOW then
    return long_search().plain(s, text, position)
  end
  charge(cost / SLOW)
  if #text <= LONGEST then
    if text_count == MAX_CACHED then
      text_count, texts, escaped_texts = 0, {}, {}
    end
    local remembered = patterns.is_plain(text) and texts or escaped_texts
    text_count, remembered[text] = text_count + (remembered[text] and 0 or 1), QUICK / (TRY + #text / 8)
  end
  return find(s, text, position, true)
end

local function slow_find(s, pattern, init, is_plain)
  s, pattern = text_of(s), text_of(pattern)
  local length = #s
  local position = position_of(init, length)
  if position > length + 1 then
    return find('', '', position - length)
  elseif is_plain or patterns.is_plain(pattern) then
    return find_plain(s, pattern, position)
  end
  local found = known_of(pattern)
  if length <= found.once then
    return found_by_c(find, found, s, pattern, position)
  end
  return long_search().find(found, s, position)
end

function string.find(s, pattern, init, is_plain)
  if type(s) == 'string' and (init == nil or kind_of(init) == INTEGER) then
    local found, length = known[pattern], #s
    if is_plain or not found then
      if length <= (texts[pattern] or is_plain and escaped_texts[pattern] or -1) then
        return find(s, pattern, init, true)
      end
    else
      if length <= found.quick then
        return find(s, pattern, init)
      elseif length <= found.once then
        charge(length / found.once)
        return find(s, pattern, init)
      end
    end
  end
  if not is_text(s) or not is_text(pattern) or init ~= nil and not integer_of(init) then
    refuse(find, s, pattern, init)
  end
  return slow_find(s, pattern, init, is_plain)
end

local function slow_match(s, pattern, init)
  s, pattern = text_of(s), text_of(pattern)
  local length, found = #s, known_of(pattern)
  local position = position_of(init, length)
  if length <= found.once then
    return found_by_c(match, found, s, pattern, position)
  elseif position > length + 1 then
    return match('', pattern, position - length)
  end
  return long_search().match(found, s, position)
end

function string.match(s, pattern, init)
  local found = known[pattern]
  if found and type(s) == 'string' and (init == nil or kind_of(init) == INTEGER) then
    local length = #s
    if length <= found.quick then
      return match(s, pattern, init)
    elseif length <= found.once then
      charge(length / found.once)
      return match(s, pattern, init)
    end
  end
  if not is_text(s) or not is_text(pattern) or init ~= nil and not integer_of(init) then
    refuse(match, s, pattern, init)
  end
  return slow_match(s, pattern, init)
end

-- Wraps C's iterator. The cost of all its steps is charged at the start and at the end.
local function counted(step, share)
  local function charged(...)
    if ... == nil then
      charge(share)
    end
    return ...
  end
  charge(share)
  return function()
    return charged(step())
  end
end

local function slow_gmatch(s, pattern, init)
  s, pattern = text_of(s), text_of(pattern)
  if is_5_1 then
    init = nil
  end
  -- gmatch has no anchor: "^" is a character.
  local found = known_of(byte(pattern) == 94 and '%' .. pattern or pattern)
  local length = #s
  if found.is_valid and length <= found.quick_every then
    return gmatch(s, pattern, init)
  elseif found.is_valid and length <= found.every then
    return counted(gmatch(s, pattern, init), length / found.every)
  end
  return long_search().gmatch(found, s, position_of(init, length))
end

function string.gmatch(s, pattern, init)
  local most = quick_every[pattern]
  if most and type(s) == 'string' and #s <= most and init == nil and byte(pattern) ~= 94 then
    return gmatch(s, pattern)
  elseif not is_text(s) or not is_text(pattern) or init ~= nil and not is_5_1 and not integer_of(init) then
    refuse(gmatch, s, pattern, init)
  end
  return slow_gmatch(s, pattern, init)
end

-- Replacing

-- Returns the results of gsub in C, or raises its error. An error of gsub itself gets the position of the caller; an
-- error of the called function has its position already.
local function results_of_gsub(is_valid, ...)
  local value = ...
  if is_valid then
    return ...
  elseif type(value) == 'string' and find(value, '^invalid replacement value %(') then
    fail(value)
  end
  error(value, 0)
end

local function slow_gsub(s, pattern, replacement, most)
  s, pattern, replacement = text_of(s), text_of(pattern), text_of(replacement)
  local found, length = known_of(pattern), #s
  most = most == nil and length + 1 or integer_of(most)
  if type(replacement) ~= 'string' then
    if length <= FEW and length <= found.quick_every and found.is_valid then
      return results_of_gsub(call_back(s, pattern, replacement, most))
    end
    return long_search().gsub(found, s, replacement, most)
  end
  local share = length / found.every
  if find(replacement, '%', 1, true) then
    share = share + length * #replacement / SLOW
  end
  if share > 1 then
    return long_search().gsub(found, s, replacement, most)
  end
  charge(share)
  local highest = references_in(replacement)
  if found.is_valid and highest and (highest <= found.captures or highest == 1) then
    return gsub(s, pattern, replacement, most)
  end
  return results_or_error(pcall(gsub, s, pattern, replacement, most))
end

local replaces = { string = true, number = true, table = true, ['function'] = true }

function string.gsub(s, pattern, replacement, most)
  local found, highest = known[pattern], references[replacement]
  if found and highest and most == nil and type(s) == 'string' and #s <= found.quick_every
    and (highest == 0 or highest <= found.captures) then
    return gsub(s, pattern, replacement)
  elseif not is_text(s) or not is_text(pattern) or not replaces[type(replacement)]
    or most ~= nil and not integer_of(most) then
    refuse(gsub, s, pattern, replacement, most)
  end
  return slow_gsub(s, pattern, replacement, most)
end

return charge
