-- Parses patterns into their items.
local check_time = ...

local byte, char, find, match, rep, sub =
  string.byte, string.char, string.find, string.match, string.rep, string.sub
local pcall, concat = pcall, table.concat

local LONG, MAX_CLASSES = 1000, 100 -- octets of a class that is slow to analyse; number of classes in the cache
local MAX_CAPTURES = 32
local PARTS = 1000 -- parts of a set between two time checks

-- Classes of characters

local all = {} -- all octets
for code = 0, 255 do
  all[code + 1] = char(code)
end

local classes, class_count = {}, 0

-- Returns the character class for a pattern such as `%a` or `[a-z]`: its text, all octets that belong to it, and the
-- cost (`weight`) of testing one octet.
local function class(text)
  local known = classes[text]
  if not known then
    local octets = {}
    for code = 0, 255 do
      if match(all[code + 1], text) then
        octets[#octets + 1] = all[code + 1]
      end
      if #text > LONG then
        check_time()
      end
    end
    known = { text = text, octets = concat(octets), weight = #text > 2 and #text / 2 + 1 or 1 }
    if class_count == MAX_CLASSES then
      classes, class_count = {}, 0
    end
    if #text <= LONG then
      classes[text], class_count = known, class_count + 1
    end
  end
  return known
end

-- Returns the text of a class that contains only this octet.
local function literal(octet)
  return find(octet, '%w') and octet or '%' .. octet
end

-- Items

-- Returns Lua's own error message for a malformed pattern.
local function error_for(pattern)
  local _, message = pcall(match, '', pattern)
  return message
end

-- Returns the position after the set that starts here, or nil if it is not closed.
local function after_set(pattern, start)
  local position = start + 1
  if byte(pattern, position) == 94 then -- ^
    position = position + 1
  end
  local left = PARTS
  repeat -- the first octet of a set does not close it, even if it is "]"
    if position > #pattern then
      return nil
    end
    left = left - 1
    if left == 0 then
      check_time()
      left = PARTS
    end
    position = position + (byte(pattern, position) == 37 and position < #pattern and 2 or 1) -- %
    position = find(pattern, '[]%%]', position)
  until not position or byte(pattern, position) == 93 -- ]
  return position and position + 1
end

-- Returns the text of the character class that starts at a position, and the position after it. Returns nil if it is
-- malformed.
local function class_at(pattern, start)
  local octet = sub(pattern, start, start)
  if octet == '%' then
    local escaped = sub(pattern, start + 1, start + 1)
    return escaped ~= '' and '%' .. escaped or nil, start + 2
  elseif octet == '[' then
    local after = after_set(pattern, start)
    return after and sub(pattern, start, after - 1), after
  end
  return octet == '.' and '.' or literal(octet), start + 1
end

local readers = {}

readers['('] = function(pattern, position, state)
  if state.captures == MAX_CAPTURES then
    return { kind = 'wrong', why = error_for(rep('()', MAX_CAPTURES + 1)) }
  end
  local captures = state.captures + 1
  state.captures = captures
  if sub(pattern, position + 1, position + 1) == ')' then
    state.is_closed[captures] = true
    return { kind = 'position', number = captures }, position + 2
  end
  state.open[#state.open + 1] = captures
  return { kind = 'open', number = captures }, position + 1
end

readers[')'] = function(_, position, state)
  local open = state.open
  local number = open[#open]
  if not number then
    return { kind = 'wrong', why = error_for ')' }
  end
  open[#open], state.is_closed[number] = nil, true
  return { kind = 'close', number = number }, position + 1
end

readers['%b'] = function(pattern, position)
  local first, last = sub(pattern, position + 2, position + 2), sub(pattern, position + 3, position + 3)
  if last == '' then
    return { kind = 'wrong', why = error_for(sub(pattern, position)) }
  end
  return { kind = 'balanced', first = byte(first), last = byte(last), class = class(literal(first)),
    either = '[' .. literal(first) .. literal(last) .. ']' }, position + 4
end

readers['%f'] = function(pattern, position)
  local after = sub(pattern, position + 2, position + 2) == '[' and after_set(pattern, position + 2)
  if not after then
    return { kind = 'wrong', why = error_for(sub(pattern, position)) }
  end
  return { kind = 'frontier', class = class(sub(pattern, position + 2, after - 1)) }, after
end

local function read_back_reference(pattern, position, state)
  local number = byte(pattern, position + 1) - 48
  if not state.is_closed[number] then
    return { kind = 'wrong', why = error_for(sub(pattern, position, position + 1)) }
  end
  return { kind = 'back', number = number }, position + 2
end

for digit = 0, 9 do
  readers['%' .. digit] = read_back_reference
end

local REPEATS = { ['*'] = true, ['+'] = true, ['-'] = true, ['?'] = true }

local function read_class(pattern, position)
  local text, after = class_at(pattern, position)
  if not text then
    return { kind = 'wrong', why = error_for(sub(pattern, position)) }
  end
  local times = sub(pattern, after, after)
  if REPEATS[times] then
    return { kind = times, class = class(text) }, after + 1
  end
  return { kind = 'one', class = class(text) }, after
end

-- Returns the items of a pattern from a position on, its number of captures, and whether it is well-formed. A malformed
-- item raises an error only when a match reaches it, as in C.
local function items_of(pattern, position)
  local items, state, is_valid = {}, { captures = 0, open = {}, is_closed = {} }, true
  while position and position <= #pattern do
    local octet = sub(pattern, position, position)
    local read = readers[octet] or octet == '%' and readers[sub(pattern, position, position + 1)] or read_class
    local item
    if octet == '$' and position == #pattern then
      item, position = { kind = '$' }, position + 1
    else
      item, position = read(pattern, position, state)
    end
    items[#items + 1] = item
    is_valid = is_valid and item.kind ~= 'wrong'
    if #items % 64 == 0 then
      check_time()
    end
  end
  return items, state.captures, is_valid and #state.open == 0
end

return items_of
