-- Functions in the sandbox that take as long as a text is: those that take long look at the time.
local libraries, charge, fail, format, note = ...

local error, getmetatable, ipairs, pcall, select, type, xpcall = error, getmetatable, ipairs, pcall, select, type, xpcall
local concat, unpack = table.concat, table.unpack
local byte, find, gmatch, sub = string.byte, string.find, string.gmatch, string.sub
local is_5_1 = setfenv ~= nil

local LONG = 65536 -- octets that take some time
local OCTETS, QUOTED = 2e7, 1e6 -- that may be worked on, and be quoted or read as a number, without a look at the time
local LONG_NUMBER = 1000 -- octets
local MOST_OF_DATE, MOST_OF_TEMPLATE = 4096, 256 -- octets
local MOST_REMEMBERED = 200 -- templates
local MANY = 1000 -- directives of a template between two looks at the time

local string, utf8, os = libraries.string, libraries.utf8, libraries.os

local function charge_for(text)
  if type(text) == 'string' and #text > LONG then
    charge(#text / OCTETS)
  end
end

-- Returns what was returned, or raises an error that has no place yet.
local function placed(name, is_right, ...)
  if is_right then
    return ...
  end
  fail((...), name)
end

for _, name in ipairs { 'upper', 'lower', 'reverse' } do
  local c = string[name]
  string[name] = function(s)
    if type(s) == 'string' then
      if #s > LONG then
        charge_for(s)
      end
      return c(s)
    end
    local result = placed(nil, pcall(c, s))
    return result
  end
end

-- string.format

-- Returns what %q makes of a long text. What it makes of an octet depends on the one behind it.
local function quoted(text)
  local pieces, position = {}, 1
  while position <= #text do
    local last = position + LONG
    while find(sub(text, last, last), '%c') and find(sub(text, last + 1, last + 1), '%d') do
      last = last + 1
    end
    charge(LONG / QUOTED)
    pieces[#pieces + 1] = sub(format('%q', sub(text, position, last)), 2, -2)
    position = last + 1
  end
  return '"' .. concat(pieces) .. '"'
end

-- Quotes long texts beforehand; returns the arguments of string.format that are left to do.
local function without_long_quotes(template, ...)
  local given, pieces, at = { template, ... }, {}, 1
  for text, directive in gmatch(template, '([^%%]*)(%%?[-+ #0%d.]*.?)') do
    if directive ~= '' and directive ~= '%%' then
      at = at + 1
      local value = given[at]
      if directive == '%q' and type(value) == 'string' and #value > LONG then
        directive, given[at] = '%s', quoted(value)
      end
    end
    pieces[#pieces + 1] = text .. directive
    if #pieces % MANY == 0 then
      charge(1)
    end
  end
  given[1] = concat(pieces)
  return unpack(given, 1, select('#', ...) + 1)
end

local function is_long(value)
  return type(value) == 'string' and #value > LONG
end

local function has_long(...)
  local first, second, third = ...
  if is_long(first) or is_long(second) or is_long(third) then
    return true
  end
  for i = 4, select('#', ...) do -- most have no more than three
    if is_long((select(i, ...))) then
      return true
    end
  end
  return false
end

-- Not `note` itself, which takes more than an error.
local function noted(value)
  return note(value)
end

local of_format = { '^bad argument', '^invalid', "^'__tostring'", '^unable' }

local function formatted(is_right, text)
  if is_right and #text <= LONG then
    return text
  end
  charge(1)
  if is_right then
    return text
  end
  for i = 1, #of_format do
    if type(text) == 'string' and find(text, of_format[i]) then
      fail(text)
    end
  end
  error(text, 0) -- of a __tostring
end

local function quote_and_format(...)
  return format(without_long_quotes(...))
end

local count, quotes = 0, {} -- whether templates have %q

local function has_quotes(template)
  if type(template) ~= 'string' then
    return false
  end
  local found = find(template, '%q', 1, true) ~= nil
  if #template <= MOST_OF_TEMPLATE then
    if count == MOST_REMEMBERED then
      count, quotes = 0, {}
    end
    count, quotes[template] = count + 1, found
  end
  return found
end

if is_5_1 then
  function string.format(...)
    if has_long(...) then
      local text = formatted(xpcall(has_quotes(...) and quote_and_format or format, noted, ...))
      return text
    end
    return format(...)
  end
else
  function string.format(...)
    local found = quotes[...]
    if found == nil then
      found = has_quotes(...)
    end
    local text = formatted(xpcall(found and has_long(...) and quote_and_format or format, noted, ...))
    return text
  end
end

-- Arithmetic, which reads texts as numbers; in LuaJIT no function does that

local function computed(is_right, ...)
  local value = ...
  if is_right then
    return value
  elseif type(value) == 'string' and find(value, "^attempt to %a+ a '") then
    fail(value)
  end
  error(value, 0) -- of a metamethod
end

local function charge_for_number(text)
  if type(text) == 'string' and #text > LONG_NUMBER then
    charge(#text / QUOTED)
  end
end

if not is_5_1 then
  local strings = getmetatable ''
  for _, name in ipairs { 'add', 'sub', 'mul', 'div', 'idiv', 'mod', 'pow', 'unm' } do
    local c = strings['__' .. name]
    strings['__' .. name] = function(one, other)
      charge_for_number(one)
      charge_for_number(other)
      local value = computed(xpcall(c, noted, one, other))
      return value
    end
  end
end

-- os.date

local date = os.date
function os.date(...)
  local text = ...
  if type(text) == 'string' then
    if #text > MOST_OF_DATE then
      fail("bad argument #1 to 'date' (the format is too long)")
    end
    charge(#text / MOST_OF_DATE / 10)
  end
  local result = placed(nil, pcall(date, ...))
  return result
end

-- utf8, which in LuaJIT is ours

local function with_charge(name, c)
  return function(...)
    charge_for((...))
    return placed(name, pcall(c, ...))
  end
end

-- Returns what utf8.codes does, with an iterator that a long text does not keep.
local function charged_codes(codes, len)
  return function(...)
    charge_for((...))
    local is_right, step, text, first = pcall(codes, ...)
    if not is_right then
      fail(step)
    end
    local is_valid = len(text, 1, -1, (select(2, ...)))
    return function(given, position)
      if is_valid and given == text then
        return step(given, position)
      end
      charge_for(given)
      return placed(nil, pcall(step, given, position))
    end, text, first
  end
end

if not is_5_1 then
  utf8.codes = charged_codes(utf8.codes, utf8.len)
  for _, name in ipairs { 'len', 'offset', 'codepoint' } do
    utf8[name] = with_charge(name, utf8[name])
  end
end
