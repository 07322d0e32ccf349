-- Versions of the `table` functions that C could run for longer than the time limit.
--
-- The C functions use the __len and __index metamethods, which may report any length. For a table without a metatable,
-- the cost is bounded by its contents, so the C function is called. For other tables, and for sorts with slow
-- comparisons, the work is done or monitored in this file, which is compiled with time checks.
local c, record, check_time = ...

local error, getmetatable, pcall, select, tonumber, type, xpcall =
  error, getmetatable, pcall, select, tonumber, type, xpcall
local format, find, gsub, getinfo = string.format, string.find, string.gsub, debug.getinfo
local math_type, tointeger, maxinteger = math.type, math.tointeger, math.maxinteger or 2 ^ 53

local MAX_MOVED = 2 ^ 16 -- items that C may process between two time checks
local MAX_RESULTS = 1000000 -- limit of the Lua stack
local MAX_JOINED = 2 ^ 16 -- items that C may join without a time check
local MAX_SORTED, SHORT = 100000, 256 -- number of items, octets of a string
local MAX_OCTETS = 2e6 -- octets of all strings together; each string is compared more than a dozen times

local tables = {}

-- Errors

local of_c = { '^wrong number of arguments', '^invalid order function', '^invalid value', '^too many results',
  '^object length' }

-- Returns whether an error comes from the C function itself, which adds the position of its caller.
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

-- Returns the results of a pcall, or raises its error at the position where the script called the function.
local function results_or_error(name, ok, ...)
  if ok then
    return ...
  end
  local message = ...
  if type(message) == 'string' then
    message = gsub(gsub(message, "^(bad argument #%d+ to ')%?", '%1' .. name), "^(bad argument #%d+ to ')table%.", '%1')
    message = gsub(message, '^%[alaska tables%]:%d+: ', '') -- an error of `is_less`; C adds no position
  end
  error(message, type(message) == 'string' and is_of_c(name, message) and 2 or 0)
end

local function is_made_up(t)
  return type(t) == 'table' and getmetatable(t) ~= nil
end

-- Converts a value to an integer as C does, or returns nil. LuaJIT accepts any number.
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

-- Copies items into a table without a metatable. Returns the copy and the number of items.
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
  if count > MAX_JOINED then
    check_time()
  end
  return c.concat(items, separator, 1, count)
end

local function is_returnable(_, count)
  return count < MAX_RESULTS or error('too many results to unpack', 0)
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

-- Returns a function that calls the C function for tables without a metatable, and the one in Lua for others.
local function guarded(name, ours)
  local of_table = c[name]
  return function(t, ...)
    if is_made_up(t) then
      return results_or_error(name, pcall(ours, t, ...))
    end
    return results_or_error(name, pcall(of_table, t, ...))
  end
end

if math_type then -- LuaJIT's table functions do not use metamethods
  tables.remove, tables.unpack = guarded('remove', remove), guarded('unpack', unpack)

  -- Joining many items takes C longer than anything else with a table.
  local join = c.concat
  function tables.concat(t, ...)
    if is_made_up(t) then
      return results_or_error('concat', pcall(concat, t, ...))
    end
    local _, first, last = ...
    if type(t) == 'table' and (tonumber(last) or #t) - (tonumber(first) or 1) > MAX_JOINED then
      check_time()
    end
    return results_or_error('concat', pcall(join, t, ...))
  end

  function tables.insert(t, ...)
    if is_made_up(t) and select('#', ...) == 2 then
      return results_or_error('insert', pcall(insert, t, ...))
    end
    return results_or_error('insert', pcall(c.insert, t, ...))
  end
end

if not math_type then -- LuaJIT accepts any position, and converts one outside 32 bits to the smallest integer
  function tables.insert(t, ...)
    local position = tonumber((...))
    if position and select('#', ...) == 2 and not (position > -MAX_MOVED and position < 2 ^ 31) then
      error("bad argument #2 to 'insert' (position out of bounds)", 2)
    end
    return c.insert(t, ...)
  end
end

-- Moving

local function move(from, first, last, at, to)
  c.move(from, 1, 0, at, to) -- raises the errors for arguments of wrong types
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
    local is_long = one and other and (other - one > MAX_MOVED or other >= one and other - one < 0)
    if one and other and place and (is_long or is_made_up(from) or is_made_up((...))) then
      return results_or_error('move', pcall(move, from, one, other, place, ...))
    end
    return results_or_error('move', pcall(c.move, from, first, last, at, ...))
  end
end

-- Sorting

-- Returns whether C can sort the table without a time check: not too many items, and cheap comparisons.
local function is_soon_sorted(t)
  if getmetatable(t) ~= nil or #t > MAX_SORTED then
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
  return octets <= MAX_OCTETS
end

local function is_less(one, other)
  return one < other
end

-- Functions in C, and Alaska's own, contain no time checks. They are called from a function that does.
local function looking_at_the_time(compare)
  local at = getinfo(compare, 'S')
  if at.what ~= 'C' and not find(at.short_src, '^%[alaska ') then
    return compare
  end
  return function(one, other)
    return compare(one, other)
  end
end

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

function tables.sort(t, ...)
  local compare = ...
  if type(t) == 'table' and compare == nil and not is_soon_sorted(t) then
    return results_or_error('sort', xpcall(c.sort, record_error, t, is_less))
  elseif type(t) == 'table' and type(compare) == 'function' then
    return results_or_error('sort', xpcall(c.sort, record_error, t, looking_at_the_time(compare)))
  end
  return results_or_error('sort', pcall(c.sort, t, ...))
end

return tables
