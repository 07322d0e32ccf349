-- find, match, gmatch and gsub for cases where the functions in C could take too long. This file is compiled with time
-- checks.
--
-- A *search* is a function like string.find, for one pattern, from a position on.
local patterns, matcher, charge, fail, record = ...

local byte, find, gsub, sub = string.byte, string.find, string.gsub, string.sub
local concat, max, getmetatable = table.concat, math.max, getmetatable
local error, pcall, select, type, xpcall = error, pcall, select, type, xpcall
local is_5_1 = setfenv ~= nil
local SLOW = patterns.SLOW
local SHORT, LONG = 64, 65536 -- octets of the first and of the largest piece of the subject

-- Returns the first position, from a given one on, where a match can start: at an octet of the class, if there is one,
-- or at the end.
local function next_start(s, position, class)
  local size, length = SHORT, #s
  if not class or position > length or find(class.octets, sub(s, position, position), 1, true) then
    return position
  end
  while position <= length do
    local found = find(sub(s, position, position + size - 1), class.text)
    charge(size * class.weight / SLOW)
    if found then
      return position + found - 1
    end
    position, size = position + size, size < LONG and size * 4 or size
  end
  return length + 1
end

-- Returns the class of the octet that every match starts with, if there is one. Also returns a pattern for the run of
-- octets at the start of a match, if none of them can start what follows. If the match fails at one octet of such a
-- run, it fails at all of them.
local function beginning(items)
  local place = 1
  while items[place] and (items[place].kind == 'open' or items[place].kind == 'position') do
    place = place + 1
  end
  local first = items[place] or {}
  local kind, row = first.kind, nil
  if kind == '+' or kind == '*' then
    patterns.look_ahead(items)
    row = first.is_apart and '^' .. first.class.text .. '+'
    for i = 1, #items do
      row = items[i].kind ~= 'back' and row or nil
    end
  end
  return (kind == 'one' or kind == '+' or kind == 'balanced') and first.class or nil, row
end

-- Returns a search that tries one position after the other. Each attempt is charged `share`.
local function search_by_positions(known, at, share)
  local class, row = beginning(patterns.items(known))
  local search

  local function tried(s, position, captured, first, ...)
    if first then
      return first, ...
    end
    local _, last = nil, nil
    if row then
      _, last = find(s, row, position)
    end
    return search(s, last and last + 2 or position + 1, captured)
  end

  function search(s, position, captured)
    position = next_start(s, position, class)
    if position > #s + 1 then
      return nil
    end
    charge(share)
    return tried(s, position, captured, at(s, position, captured))
  end

  return search
end

-- Returns a search for subjects of n octets. It runs in C on the whole subject, in C at each position, or in Lua.
-- `is_repeated` means that the caller repeats it for all matches.
local function search_of(known, n, is_repeated)
  local pattern = known.pattern
  if known.is_valid and n <= known.once then
    local share = n / known.once
    if is_repeated and n <= known.every then
      charge(share)
      return function(s, position)
        return find(s, pattern, position)
      end
    end
    return function(s, position)
      charge(share)
      return find(s, pattern, position)
    end
  elseif known.is_valid and n <= known.at and not known.is_anchored then
    pattern = '^' .. pattern
    return search_by_positions(known, function(s, position)
      return find(s, pattern, position)
    end, max(n / known.at, known.share))
  end
  local at = known.matcher or matcher(known)
  known.matcher = at
  if known.is_anchored then
    return at
  end
  return search_by_positions(known, at, 0)
end

local searching = {}

function searching.find(known, s, position)
  return search_of(known, #s)(s, position)
end

local function matched(s, first, last, ...)
  if first and select('#', ...) == 0 then
    return sub(s, first, last)
  elseif first then
    return ...
  end
  return nil
end

function searching.match(known, s, position)
  return matched(s, search_of(known, #s)(s, position))
end

function searching.gmatch(known, s, position)
  local search, behind = search_of(known, #s, true), nil
  local step

  local function stepped(first, last, ...)
    if not first then
      charge(1)
      return nil
    elseif last + 1 == behind then -- Lua 5.4 ignores an empty match directly after another match
      position = position + 1
      return step()
    end
    position = last + 1
    if not is_5_1 then
      behind = position
    elseif first > last then
      position = position + 1
    end
    return matched(s, first, last, ...)
  end

  function step()
    if position > #s + 1 then
      return nil
    end
    return stepped(search(s, position))
  end

  return step
end

-- Replacing

-- Splits a replacement into its parts: texts, capture numbers, and functions that raise an error.
local function parts_of(text, captures)
  local parts, position = {}, 1
  while true do
    local mark = find(text, '%', position, true)
    parts[#parts + 1] = sub(text, position, (mark or 0) - 1)
    if not mark then
      return parts
    end
    local escaped = sub(text, mark + 1, mark + 1)
    local number = find(escaped, '%d') and byte(escaped) - 48
    if number and (number <= captures or number == 1) then
      parts[#parts + 1] = number
    else
      local is_valid, message = pcall(gsub, 'x', 'x', '%' .. escaped)
      parts[#parts + 1] = is_valid and message or function()
        fail(message)
      end
    end
    position = mark + 2
  end
end

local _, unfinished = pcall(find, '', '(')

-- Each entry returns a function that appends the replacement of a match to a table and returns the new length.
local adders = {}

function adders.string(text, known)
  local parts = parts_of(text, known.captures)
  return function(out, count, s, first, last, ...)
    for i = 1, #parts do
      local part = parts[i]
      count = count + 1
      if type(part) == 'string' then
        out[count] = part
      elseif type(part) == 'function' then
        part()
      elseif part == 0 or select('#', ...) == 0 then
        out[count] = sub(s, first, last)
      else
        out[count] = (select(part, ...)) or fail(unfinished)
      end
    end
    return count
  end
end

local function add_value(out, count, s, first, last, value)
  local kind = type(value)
  if not value then
    value = sub(s, first, last)
  elseif kind ~= 'string' and kind ~= 'number' then
    local _, message = pcall(gsub, 'x', 'x', function() return value end)
    fail(message)
  end
  out[count + 1] = value
  return count + 1
end

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

-- Returns the result of a pcall, or raises its error without the position of this file, as C does.
local function results_or_error(is_valid, ...)
  local value = ...
  if is_valid then
    return value
  end
  error(type(value) == 'string' and gsub(value, '^%[alaska searching%]:%d+: ', '') or value, 0)
end

local function index(values, key)
  return values[key]
end

function adders.table(values)
  local is_plain = getmetatable(values) == nil
  return function(out, count, s, first, last, capture)
    if capture == nil then
      capture = sub(s, first, last)
    end
    local value
    if is_plain then
      value = values[capture]
    else
      value = results_or_error(xpcall(index, record_error, values, capture))
    end
    return add_value(out, count, s, first, last, value)
  end
end

adders['function'] = function(call)
  return function(out, count, s, first, last, ...)
    if select('#', ...) == 0 then
      return add_value(out, count, s, first, last, results_or_error(xpcall(call, record_error, sub(s, first, last))))
    end
    return add_value(out, count, s, first, last, results_or_error(xpcall(call, record_error, ...)))
  end
end

-- Does what string.gsub does, for at most `most` matches.
function searching.gsub(known, s, replacement, most)
  local search, add = search_of(known, #s, true), adders[type(replacement)](replacement, known)
  local captured = type(replacement) == 'string' and (find(replacement, '%%[1-9]') and 'lazily' or 'none') or nil
  local out, count, copied, position, behind = {}, 0, 1, 1, nil
  local replaced, length = 0, #s

  local function replace(first, last, ...)
    if not first then
      return false
    elseif last + 1 == behind then -- as in gmatch
      position = position + 1
      return true
    end
    if first > copied then
      count = count + 1
      out[count] = sub(s, copied, first - 1)
    end
    replaced = replaced + 1
    count = add(out, count, s, first, last, ...)
    copied, position = last + 1, last + 1
    if not is_5_1 then
      behind = position
    elseif first > last then
      position = position + 1
    end
    return true
  end

  local goes_on = replaced < most
  while goes_on and position <= length + 1 do
    goes_on = replace(search(s, position, captured)) and not known.is_anchored and replaced < most
  end
  out[count + 1] = sub(s, copied)
  return concat(out), replaced
end

-- Searches for plain text.
function searching.plain(s, text, position)
  local head, length = sub(text, 1, SHORT), #text
  while true do
    charge(#s * (#head + SHORT) / SLOW)
    local first = find(s, head, position, true)
    if not first then
      return nil
    end
    local same, piece = 0, nil
    repeat
      same, piece = same + LONG, sub(text, same + 1, same + LONG)
    until same >= length or sub(s, first + same - LONG, first + same - 1) ~= piece
    if same >= length and sub(s, first + same - LONG, first + length - 1) == piece then
      return first, first + length - 1
    end
    position = first + 1
  end
end

return searching
