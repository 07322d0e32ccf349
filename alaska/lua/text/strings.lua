-- string.find, match, gmatch and gsub in the sandbox: no call keeps a thread for more than a moment, and calls that
-- take moments look at the time.
--
-- What C can surely do in time is left to it, at once; that is so for most patterns and subjects.
local string, limits, patterns, make_searching, fail, call_back = ...

local error, pcall, tonumber, type = error, pcall, tonumber, type
local byte, find, gmatch, gsub, match = string.byte, string.find, string.gmatch, string.gsub, string.match
local math_type, tointeger = math.type, math.tointeger
local is_5_1 = setfenv ~= nil

local QUICK, SLOW, TRY, LONGEST = patterns.QUICK, patterns.SLOW, patterns.TRY, patterns.LONGEST
local MOST_REMEMBERED = patterns.MOST_REMEMBERED
local MOST_REFERRED = 32 -- octets of a replacement that is remembered
local MANY = 1000 -- references in a replacement between two looks at the time
local FEW = 1000 -- octets in which C may call a script's function for each match

-- Time

local debt = 0

-- Adds a share of what may be done without a look at the time, and looks when it is all used up.
local function charge(share)
  debt = debt + share
  if debt > 1 then
    debt = 0
    limits.patience()
  end
end

local searching -- made when it is needed first
local function long_search()
  searching = searching or make_searching(charge)
  return searching
end

-- What is known of patterns and replacements

local count, known, quick_every, wrong = 0, {}, {}, {} -- the first two have no patterns that are wrong
local text_count, texts, escaped_texts = 0, {}, {} -- up to how many octets they are looked for at once
local reference_count, references = 0, {}

local function remember(pattern, found)
  if count == MOST_REMEMBERED then
    count, known, quick_every, wrong = 0, {}, {}, {}
  end
  count = count + 1
  if found.is_right then
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

-- Returns the highest number of a capture that a replacement names, or nil if it is wrong.
local function references_in(text)
  local highest = references[text]
  if highest then
    return highest
  end
  highest = 0
  local left = MANY
  for escaped in gmatch(text, '%%(.?)') do
    left = left - 1
    if left == 0 then
      limits.patience()
      left = MANY
    end
    local number = tonumber(escaped)
    if number then
      highest = number > highest and number or highest
    elseif escaped ~= '%' then
      return nil
    end
  end
  if #text <= MOST_REFERRED then
    if reference_count == MOST_REMEMBERED then
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

-- Returns an integer as C takes it, or nil.
local function integer_of(value)
  local number = is_text(value) and tonumber(value)
  if number and is_5_1 then
    number = number > -2 ^ 31 and number < 2 ^ 31 and number or -2 ^ 31
    return number < 0 and -(-number - -number % 1) or number - number % 1
  end
  return number and tointeger(number)
end

-- What says of an integer that it is one, and how; in LuaJIT any number is taken for one.
local kind_of, INTEGER = math_type or type, math_type and 'integer' or 'number'

-- Returns the position that a number stands for, from 1 on.
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

-- Raises the error of a function of C that is given these arguments; texts play no part in it.
local function refuse(c, s, pattern, ...)
  local _, text = pcall(c, type(s) == 'string' and '' or s, type(pattern) == 'string' and '' or pattern, ...)
  fail(text)
end

-- Returns what was returned, or raises an error that has no place yet.
local function placed(is_right, ...)
  if is_right then
    return ...
  end
  fail((...))
end

-- Searching

-- Returns what C finds, which it does in time.
local function found_by_c(c, found, s, ...)
  charge(#s / found.once)
  if found.is_right then
    return c(s, ...)
  end
  return placed(pcall(c, s, ...))
end

local function find_plain(s, text, position)
  local cost = #s * (TRY + #text / 8)
  if cost > SLOW then
    return long_search().plain(s, text, position)
  end
  charge(cost / SLOW)
  if #text <= LONGEST then
    if text_count == MOST_REMEMBERED then
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

-- Returns an iterator of C's that counts what it costs, all of it together, whenever it comes to the end.
local function counted(step, share)
  local function passed_on(...)
    if ... == nil then
      charge(share)
    end
    return ...
  end
  charge(share)
  return function()
    return passed_on(step())
  end
end

local function slow_gmatch(s, pattern, init)
  s, pattern = text_of(s), text_of(pattern)
  if is_5_1 then
    init = nil
  end
  -- There are no anchors here.
  local found = known_of(byte(pattern) == 94 and '%' .. pattern or pattern)
  local length = #s
  if found.is_right and length <= found.quick_every then
    return gmatch(s, pattern, init)
  elseif found.is_right and length <= found.every then
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

-- Returns what C has returned; an error of C itself has no place yet, and one of what it has called has.
local function called_back(is_right, ...)
  local value = ...
  if is_right then
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
    if length <= FEW and length <= found.quick_every and found.is_right then
      return called_back(call_back(s, pattern, replacement, most))
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
  if found.is_right and highest and (highest <= found.captures or highest == 1) then
    return gsub(s, pattern, replacement, most)
  end
  return placed(pcall(gsub, s, pattern, replacement, most))
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
