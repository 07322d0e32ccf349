-- Raises errors of our functions that stand in for functions of C as C would: with the place of who called, and the
-- name by which it did.
local error, find, format, match, type = error, string.find, string.format, string.match, type
local getinfo = debug.getinfo
local OURS = '^%[alaska '

-- Returns the level, as its caller counts, of the innermost function that is not ours.
local function level_of_caller()
  local level = 2
  local at = getinfo(level, 'S')
  while at and find(at.short_src, OURS) do
    level = level + 1
    at = getinfo(level, 'S')
  end
  return level - 1
end

-- Counts arguments as the caller of a method does, and says what it called.
local function named(text, name, kind)
  local number, why = match(text, "^bad argument #(%d+) to '[^']*' (.*)$")
  if not number or not name then
    return text
  elseif kind == 'method' and number == '1' then
    return format("calling '%s' on bad self %s", name, why)
  end
  return format("bad argument #%d to '%s' %s", kind == 'method' and number - 1 or number, name, why)
end

-- Raises what a function of C said that was called with pcall. `name` is for who has ended with a call, and so
-- cannot know by which name it was called.
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
