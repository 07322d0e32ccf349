-- Raises the errors of functions that replace C functions as C would raise them: with the position of the caller and
-- the name that it used.
local error, find, format, match, type = error, string.find, string.format, string.match, type
local getinfo = debug.getinfo
local OURS = '^%[alaska '

-- Returns the stack level, relative to its caller, of the innermost function that is not Alaska's own.
local function level_of_caller()
  local level = 2
  local at = getinfo(level, 'S')
  while at and find(at.short_src, OURS) do
    level = level + 1
    at = getinfo(level, 'S')
  end
  return level - 1
end

-- Numbers the arguments as the caller of a method does, and inserts the function's name.
local function named(text, name, kind)
  local number, why = match(text, "^bad argument #(%d+) to '[^']*' (.*)$")
  if not number or not name then
    return text
  elseif kind == 'method' and number == '1' then
    return format("calling '%s' on bad self %s", name, why)
  end
  return format("bad argument #%d to '%s' %s", kind == 'method' and number - 1 or number, name, why)
end

-- Raises an error that a pcall of a C function returned. `name` is the function's name, for functions that end with a
-- tail call and so are no longer on the stack under their name.
return function(text, name)
  if type(text) ~= 'string' or find(text, 'not enough memory$') then
    error(text, 0)
  end
  local level = level_of_caller()
  local ours, at = getinfo(level - 1, 'n'), getinfo(level, 'Sl')
  local has_place = at and at.currentline > 0
  text = named(text, ours.name or has_place and name, ours.namewhat)
  if has_place then
    text = format('%s:%d: %s', at.short_src, at.currentline, text)
  end
  error(text, 0)
end
