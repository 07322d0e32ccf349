-- Matches patterns like Lua's own matcher, for cases where the matcher in C could take too long. This file is compiled
-- with time checks, so the time limit can end it.
local patterns, check_time, fail = ...

local byte, find, rep, sub = string.byte, string.find, string.rep, string.sub
local concat, unpack, pcall = table.concat, table.unpack, pcall
local is_5_1 = setfenv ~= nil

local LONG = 4096 -- octets that C may scan between two time checks
local MANY = 180 -- items from which on Lua may raise "pattern too complex"
local MAX_DEPTH = 200 -- depth of recursion in the matcher

local _, too_complex = pcall(find, rep('a', MAX_DEPTH + 9), rep('a?', MAX_DEPTH + 9))
local _, unfinished = pcall(find, '', '(')

-- Returns the set of octets (as numbers) that belong to a class.
local function set_of(class)
  local set = {}
  for i = 1, #class.octets do
    set[byte(class.octets, i)] = true
  end
  return set
end

-- Each entry makes a function that tries to match its item, and all items after it, at a position. The function returns
-- the position after the match, or nil. `follow` matches the items after this one. `nested` does the same, and is used
-- where the matcher in C calls itself recursively.
local makers = {}

function makers.one(item, follow)
  local set = set_of(item.class)
  return function(s, i)
    if set[byte(s, i)] then
      return follow(s, i + 1)
    end
  end
end

function makers.literal(item, follow)
  local text, length = item.text, #item.text
  local first = byte(text)
  return function(s, i)
    if byte(s, i) == first and (length == 1 or sub(s, i, i + length - 1) == text) then
      return follow(s, i + length)
    end
  end
end

local function check_long(octets)
  if octets > LONG then
    check_time()
  end
end

local function greedy(item, follow, nested, least)
  local set, run = set_of(item.class), '^' .. item.class.text .. '+'
  return function(s, i)
    if not set[byte(s, i)] then
      if least == 1 then
        return nil
      end
      return (is_5_1 and nested or follow)(s, i)
    end
    local _, last = find(s, run, i)
    check_long(last - i)
    for position = last + 1, i + least, -1 do
      local stop = nested(s, position)
      if stop then
        return stop
      end
    end
  end
end

makers['*'] = function(item, follow, nested)
  return greedy(item, follow, nested, 0)
end

makers['+'] = function(item, follow, nested)
  return greedy(item, follow, nested, 1)
end

makers['-'] = function(item, follow, nested)
  local set = set_of(item.class)
  return function(s, i)
    if not is_5_1 and not set[byte(s, i)] then
      return follow(s, i)
    end
    while true do
      local stop = nested(s, i)
      if stop then
        return stop
      elseif not set[byte(s, i)] then
        return nil
      end
      i = i + 1
    end
  end
end

makers['?'] = function(item, follow, nested)
  local set = set_of(item.class)
  return function(s, i)
    return set[byte(s, i)] and nested(s, i + 1) or follow(s, i)
  end
end

makers['$'] = function(_, follow)
  return function(s, i)
    if i > #s then
      return follow(s, i)
    end
  end
end

function makers.open(item, _, nested, captures)
  local number = item.number
  return function(s, i)
    captures.first[number] = i
    return nested(s, i)
  end
end

function makers.close(item, _, nested, captures)
  local number = item.number
  return function(s, i)
    captures.after[number] = i
    return nested(s, i)
  end
end

function makers.position(item, _, nested, captures)
  local number = item.number
  captures.after[number] = false
  return function(s, i)
    captures.first[number] = i
    return nested(s, i)
  end
end

function makers.balanced(item, follow)
  local first, last, either = item.first, item.last, item.either
  return function(s, i)
    if byte(s, i) ~= first then
      return nil
    end
    local depth, seen = 1, i
    while true do
      local position = find(s, either, seen + 1)
      check_long((position or #s) - seen)
      if not position then
        return nil
      elseif byte(s, position) == last then
        depth = depth - 1
        if depth == 0 then
          return follow(s, position + 1)
        end
      else
        depth = depth + 1
      end
      seen = position
    end
  end
end

function makers.frontier(item, follow)
  local set = set_of(item.class)
  return function(s, i)
    if not set[i > 1 and byte(s, i - 1) or 0] and set[byte(s, i) or 0] then
      return follow(s, i)
    end
  end
end

function makers.back(item, follow, _, captures)
  local number = item.number
  return function(s, i)
    local first, after = captures.first[number], captures.after[number]
    if not after then
      return nil -- a position capture has no text
    end
    local length = after - first
    if length == 0 then
      return follow(s, i)
    elseif byte(s, i) ~= byte(s, first) or length > #s - i + 1 then
      return nil
    end
    check_long(length)
    if sub(s, i, i + length - 1) == sub(s, first, after - 1) then
      return follow(s, i + length)
    end
  end
end

function makers.wrong(item)
  return function()
    fail(item.why)
  end
end

local function is_literal(item)
  return item and item.kind == 'one' and #item.class.octets == 1
end

-- Joins the literal items that end at this index. Returns the joined item and the index of the first one.
local function joined(items, last)
  local first, octets = last, {}
  while is_literal(items[first - 1]) do
    first = first - 1
  end
  for i = first, last do
    octets[#octets + 1] = items[i].class.octets
  end
  return { kind = 'literal', text = concat(octets) }, first
end

local function limited(follow, captures)
  return function(s, i)
    if captures.depth == MAX_DEPTH then
      fail(too_complex)
    end
    captures.depth = captures.depth + 1
    local stop = follow(s, i)
    captures.depth = captures.depth - 1
    return stop
  end
end

local function at_end(_, i)
  return i
end

-- Returns the values of all captures. With `is_lazy`, an unfinished capture is nil instead of an error.
local function values(captures, s, is_lazy)
  local found = {}
  for number = 1, captures.count do
    local first, after = captures.first[number], captures.after[number]
    if after ~= nil then
      found[number] = after and sub(s, first, after - 1) or first
    elseif not is_lazy then
      fail(unfinished)
    end
  end
  return unpack(found, 1, captures.count)
end

-- Returns a function like string.find that tries one position only. `captured` may be 'none', for no captures, or
-- 'lazily', for nil instead of an unfinished capture.
return function(known)
  local items = patterns.items(known)
  local captures = { first = {}, after = {}, count = known.captures, depth = 1 }
  local try, place = at_end, #items
  while place > 0 do
    local item = items[place]
    if is_literal(item) then
      item, place = joined(items, place)
    end
    try = makers[item.kind](item, try, #items > MANY and limited(try, captures) or try, captures)
    place = place - 1
  end
  return function(s, i, captured)
    captures.depth = 1
    local after = try(s, i)
    if not after then
      return nil
    elseif captured == 'none' or captures.count == 0 then
      return i, after - 1
    end
    return i, after - 1, values(captures, s, captured == 'lazily')
  end
end
