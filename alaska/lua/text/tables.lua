-- The library `table`, where C would work for longer than the time that is looked at.
--
-- C asks a table's metatable for its length and for what is in it, for ever if that is what it says. A table without
-- one costs no more than it holds. So C does what is asked of such a table; for others, and for sorting what takes
-- long to compare, the work is done or watched here, and this file is checked as a script is.
local c, note = ...

local error, getmetatable, pcall, select, tonumber, type, xpcall =
  error, getmetatable, pcall, select, tonumber, type, xpcall
local format, find, gsub, getinfo = string.format, string.find, string.gsub, debug.getinfo
local math_type, tointeger, maxinteger = math.type, math.tointeger, math.maxinteger or 2 ^ 53

local MOST_MOVED = 2 ^ 16 -- what C may do before the time is looked at
local MOST_RESULTS = 1000000 -- the stack of Lua holds no more
local MOST_SORTED, SHORT = 100000, 256 -- number of items, octets of a string
local MOST_OCTETS = 2e6 -- of all strings together: each is compared with others more than a dozen times

local tables = {}

-- Errors

local of_c = { '^wrong number of arguments', '^invalid order function', '^invalid value', '^too many results',
  '^object length' }

-- Tells whether an error is that of the function of C itself, which tells the place where it was called.
local function is_of_c(name, message)
  if find(message, "^bad argument #%d+ to '" .. name) then
    return true
  end
  for i = 1, #of_c do
    if find(message, of_c[i]) then
      return true
    end
  end
  return false
end

-- Returns what was returned, or raises the error where the script called the function that ends with this.
local function passed_on(name, is_right, ...)
  if is_right then
    return ...
  end
  local message = ...
  if type(message) == 'string' then
    message = gsub(gsub(message, "^(bad argument #%d+ to ')%?", '%1' .. name), "^(bad argument #%d+ to ')table%.", '%1')
    message = gsub(message, '^%[alaska tables%]:%d+: ', '') -- of a comparison that C would have made
  end
  error(message, type(message) == 'string' and is_of_c(name, message) and 2 or 0)
end

local function is_made_up(t)
  return type(t) == 'table' and getmetatable(t) ~= nil
end

-- Returns an integer as C takes it, or nil; in LuaJIT any number.
local function integer_of(value)
  if type(value) == 'string' then
    value = tonumber(value)
  end
  if type(value) ~= 'number' then
    return nil
  end
  return tointeger and tointeger(value) or not tointeger and value or nil
end

local function length_of(t)
  local length = #t
  return integer_of(length) or error('object length is not an integer', 0)
end

-- Tables that have a metatable

local function insert(t, position, value)
  local behind = length_of(t) + 1
  local at = integer_of(position) or c.insert({}, position, value)
  if at < 1 or at > behind then
    error("bad argument #2 to 'insert' (position out of bounds)", 0)
  end
  for i = behind, at + 1, -1 do
    t[i] = t[i - 1]
  end
  t[at] = value
end

local function remove(t, position)
  local length = length_of(t)
  local at = position == nil and length or integer_of(position) or c.remove({}, position)
  if at ~= length and (at < 1 or at > length + 1) then
    error("bad argument #2 to 'remove' (position out of bounds)", 0)
  end
  local value = t[at]
  while at < length do
    t[at] = t[at + 1]
    at = at + 1
  end
  t[at] = nil
  return value
end

-- Returns a plain table with the items of another one, and their number.
local function copied(t, first, last, is_fit)
  local items, count = {}, 0
  for i = first, last do
    local value = t[i]
    count = count + 1
    items[count] = value
    if not is_fit(value, count, i) then
      break
    end
  end
  return items, count
end

local function is_joinable(value, _, at)
  local kind = type(value)
  return kind == 'string' or kind == 'number' or c.concat({ [at] = value }, '', at, at)
end

local function concat(t, separator, first, last)
  local from = first == nil and 1 or integer_of(first)
  local to = last == nil and length_of(t) or integer_of(last)
  if not from or not to then
    return c.concat({}, separator, first, last)
  end
  local items, count = copied(t, from, to, is_joinable)
  return c.concat(items, separator, 1, count)
end

local function is_returnable(_, count)
  return count < MOST_RESULTS or error('too many results to unpack', 0)
end

local function unpack(t, first, last)
  local from = first == nil and 1 or integer_of(first)
  local to = last == nil and length_of(t) or integer_of(last)
  if not from or not to then
    return c.unpack({}, first, last)
  end
  local items, count = copied(t, from, to, is_returnable)
  return c.unpack(items, 1, count)
end

-- Calls a function of C, unless the table has a metatable.
local function guarded(name, ours)
  local of_table = c[name]
  return function(t, ...)
    if is_made_up(t) then
      return passed_on(name, pcall(ours, t, ...))
    end
    return passed_on(name, pcall(of_table, t, ...))
  end
end

if math_type then -- LuaJIT asks no metatable
  tables.remove, tables.concat, tables.unpack = guarded('remove', remove), guarded('concat', concat), guarded('unpack', unpack)

  function tables.insert(t, ...)
    if is_made_up(t) and select('#', ...) == 2 then
      return passed_on('insert', pcall(insert, t, ...))
    end
    return passed_on('insert', pcall(c.insert, t, ...))
  end
end

if not math_type then -- to LuaJIT any place will do, and what is no 32-bit integer is the least of these
  function tables.insert(t, ...)
    local position = tonumber((...))
    if position and select('#', ...) == 2 and not (position > -MOST_MOVED and position < 2 ^ 31) then
      error("bad argument #2 to 'insert' (position out of bounds)", 2)
    end
    return c.insert(t, ...)
  end
end

-- Moving

local function move(from, first, last, at, to)
  c.move(from, 1, 0, at, to) -- tells what is no table, and what no number
  if last >= first then
    if not (first > 0 or last < maxinteger + first) then
      error("bad argument #3 to 'move' (too many elements to move)", 0)
    elseif at > maxinteger - (last - first) then
      error("bad argument #4 to 'move' (destination wrap around)", 0)
    end
    local target, offset = to == nil and from or to, at - first
    if at > last or at <= first or to ~= nil and from ~= to then
      for i = first, last do
        target[i + offset] = from[i]
      end
    else
      for i = last, first, -1 do
        target[i + offset] = from[i]
      end
    end
  end
  return to == nil and from or to
end

if c.move then
  function tables.move(from, first, last, at, ...)
    local one, other, place = integer_of(first), integer_of(last), integer_of(at)
    local is_long = one and other and (other - one > MOST_MOVED or other >= one and other - one < 0)
    if one and other and place and (is_long or is_made_up(from) or is_made_up((...))) then
      return passed_on('move', pcall(move, from, one, other, place, ...))
    end
    return passed_on('move', pcall(c.move, from, first, last, at, ...))
  end
end

-- Sorting

-- Tells whether C compares all items of a table in a moment.
local function is_soon_sorted(t)
  if getmetatable(t) ~= nil or #t > MOST_SORTED then
    return false
  end
  local octets = 0
  for i = 1, #t do
    local value = t[i]
    if type(value) == 'string' and #value <= SHORT then
      octets = octets + #value
    elseif type(value) ~= 'number' then
      return false
    end
  end
  return octets <= MOST_OCTETS
end

local function is_less(one, other)
  return one < other
end

-- A function of C, and one of ours, does not look at the time.
local function looking_at_the_time(compare)
  local at = getinfo(compare, 'S')
  if at.what ~= 'C' and not find(at.short_src, '^%[alaska ') then
    return compare
  end
  return function(one, other)
    return compare(one, other)
  end
end

-- Not `note` itself, which takes more than an error.
local function noted(value)
  return note(value)
end

function tables.sort(t, ...)
  local compare = ...
  if type(t) == 'table' and compare == nil and not is_soon_sorted(t) then
    return passed_on('sort', xpcall(c.sort, noted, t, is_less))
  elseif type(t) == 'table' and type(compare) == 'function' then
    return passed_on('sort', xpcall(c.sort, noted, t, looking_at_the_time(compare)))
  end
  return passed_on('sort', pcall(c.sort, t, ...))
end

return tables
