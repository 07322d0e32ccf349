-- Versions of string, utf8 and os functions that check the time when their text is long, for the sandbox.
local libraries, charge, fail, format, record = ...

local error, getmetatable, ipairs, pcall, select, type, xpcall =
  error, getmetatable, ipairs, pcall, select, type, xpcall
local concat, unpack = table.concat, table.unpack
local byte, find, gmatch, sub = string.byte, string.find, string.gmatch, string.sub
local is_5_1 = setfenv ~= nil

local LONG = 65536 -- octets from which on a text counts as long
local OCTETS, QUOTED = 2e7, 1e6 -- octets that may be processed, or quoted or read as a number, between two time checks
local LONG_NUMBER = 1000 -- octets from which on a text that is read as a number counts as long
local MAX_OF_DATE, MAX_OF_TEMPLATE = 4096, 256 -- octets
local MAX_CACHED = 200 -- templates in the cache
local DIRECTIVES = 1000 -- directives of a template between two time checks

local string, utf8, os = libraries.string, libraries.utf8, libraries.os

local function is_long(value)
  return type(value) == 'string' and #value > LONG
end

local function charge_for(text)
  if type(text) == 'string' and #text > LONG then
    charge(#text / OCTETS)
  end
end

-- Returns the results of a pcall, or raises its error with the position of the caller.
local function results_or_error(name, ok, ...)
  if ok then
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
    local result = results_or_error(nil, pcall(c, s))
    return result
  end
end

-- string.pack and others, which read a format option by option. In LuaJIT they do not exist.

local function same(...)
  return ...
end

for _, name in ipairs { 'pack', 'packsize', 'unpack' } do
  local c = string[name]
  string[name] = c and function(...)
    if is_long(...) then
      charge(1)
    end
    return same(results_or_error(nil, pcall(c, ...))) -- no tail call of what may fail: the name is found on the stack
  end
end

-- string.format

-- Returns a long text as %q formats it. The text is split into pieces; a control character stays with the digit after
-- it, because its escape depends on that digit.
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

-- Formats the long texts for %q in advance. Returns the remaining arguments of string.format.
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
    if #pieces % DIRECTIVES == 0 then
      charge(1)
    end
  end
  given[1] = concat(pieces)
  return unpack(given, 1, select('#', ...) + 1)
end

local function has_long(...)
  local first, second, third = ...
  if is_long(first) or is_long(second) or is_long(third) then
    return true
  end
  for i = 4, select('#', ...) do -- most calls have three values at most
    if is_long((select(i, ...))) then
      return true
    end
  end
  return false
end

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

local of_format = { '^bad argument', '^invalid', "^'__tostring'", '^unable' }

local function formatted(ok, text)
  if ok and #text <= LONG then
    return text
  end
  charge(1)
  if ok then
    return text
  end
  for i = 1, #of_format do
    if type(text) == 'string' and find(text, of_format[i]) then
      fail(text)
    end
  end
  error(text, 0) -- the error of a __tostring
end

local function quote_and_format(...)
  return format(without_long_quotes(...))
end

local count, quotes = 0, {} -- cache: whether a template contains %q

local function has_quotes(template)
  if type(template) ~= 'string' then
    return false
  end
  local found = find(template, '%q', 1, true) ~= nil
  if #template <= MAX_OF_TEMPLATE then
    if count == MAX_CACHED then
      count, quotes = 0, {}
    end
    count, quotes[template] = count + 1, found
  end
  return found
end

if is_5_1 then
  function string.format(...)
    if has_long(...) then
      local text = formatted(xpcall(has_quotes(...) and quote_and_format or format, record_error, ...))
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
    local text = formatted(xpcall(found and has_long(...) and quote_and_format or format, record_error, ...))
    return text
  end
end

-- Arithmetic on strings, which reads them as numbers. In LuaJIT, no function of the metatable of strings does that.

-- Returns the result of an operator. Adds the position to the errors that the operator itself raises, not to those of
-- the script's metamethods.
local function result_of_operator(ok, ...)
  local value = ...
  if ok then
    return value
  elseif type(value) == 'string' and find(value, "^attempt to %a+ a '") then
    fail(value)
  end
  error(value, 0)
end

local function charge_for_number(text)
  if type(text) == 'string' and #text > LONG_NUMBER then
    charge(#text / QUOTED)
  end
end

if not is_5_1 then
  local operators = getmetatable ''
  for _, name in ipairs { 'add', 'sub', 'mul', 'div', 'idiv', 'mod', 'pow', 'unm' } do
    local c = operators['__' .. name]
    operators['__' .. name] = function(one, other)
      charge_for_number(one)
      charge_for_number(other)
      local value = result_of_operator(xpcall(c, record_error, one, other))
      return value
    end
  end
end

-- os.date

local date = os.date
function os.date(...)
  local text = ...
  if type(text) == 'string' then
    if #text > MAX_OF_DATE then
      fail("bad argument #1 to 'date' (the format is too long)")
    end
    charge(#text / MAX_OF_DATE / 10)
  end
  local result = results_or_error(nil, pcall(date, ...))
  return result
end

-- utf8. In LuaJIT this library is Alaska's own (utf8.lua), which checks the time itself.

local function with_charge(name, c)
  return function(...)
    charge_for((...))
    return results_or_error(name, pcall(c, ...))
  end
end

-- Returns a version of utf8.codes. In a text that is not valid UTF-8, each step may scan all of it and is charged.
local function charged_codes(codes, len)
  return function(...)
    charge_for((...))
    local ok, step, text, first = pcall(codes, ...)
    if not ok then
      fail(step)
    end
    local is_valid = len(text, 1, -1, (select(2, ...)))
    return function(given, position)
      if is_valid and given == text then
        return step(given, position)
      end
      charge_for(given)
      return results_or_error(nil, pcall(step, given, position))
    end, text, first
  end
end

if not is_5_1 then
  utf8.codes = charged_codes(utf8.codes, utf8.len)
  for _, name in ipairs { 'len', 'offset', 'codepoint' } do
    utf8[name] = with_charge(name, utf8[name])
  end
end
