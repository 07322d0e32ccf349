-- Compiles Lua text so that it can be run in any globals, and is checked for its time.
--
-- A chunk is the body of a function in two others, which have what its checks need in local variables. No name of these
-- stands in the text, so the text cannot use them, and it is a whole chunk by itself, so it cannot leave its function.
local limits, with_checks, private = ...

local load, gmatch, gsub, setfenv, type = load, string.gmatch, string.gsub, setfenv, type
local byte, format, sub = string.byte, string.format, string.sub
local getupvalue, upvaluejoin = debug.getupvalue, debug.upvaluejoin
local env = setfenv and '' or '_ENV'

local ESCAPE = 27 -- what precompiled code begins with
local AT_ONCE, PIECE = 32768, 1024 -- octets of a text that Lua compiles without a look at the time, and between two looks

local chunks = { last_lines = {} } -- by the name of a chunk, the line where its function ends

-- Lua ignores a first line that begins with '#', for Unix, and a byte order mark.
function chunks.without_first_line_comment(source)
  source = gsub(source, '^\239\187\191', '', 1)
  return (gsub(source, '^#[^\n\r]*', '', 1))
end

-- Returns a text in which a chunk is the body of a function, and names that do not stand in it: those of the function
-- that looks at the time, of the variable that counts down to that, and of the function for expressions. They are short,
-- whatever stands there, since there may be very many checks.
local function wrapped(source)
  local taken, number = {}, 0
  for digits in gmatch(source, 'alaska_check(%d*)') do
    taken[digits] = true
  end
  while taken[number .. ''] do
    number = number + 1
  end
  local name = 'alaska_check' .. number
  local left, tick = name .. 'left', name .. 'tick'
  local head = format('local %s, %s, %s = ... return function(%s) return function(...)', name, left, tick, env)
  if not limits.check then
    return head .. ' ' .. source .. '\nend end', left
  end
  local function check(weight)
    return format(' %s=%s-%d if %s<0 then %s=%s()end;', left, left, weight, left, left, name)
  end
  local checked, why = with_checks(source, check, tick, limits.patience)
  if not checked then
    return nil, why
  end
  return head .. checked .. '\nend end', left
end

-- Compiles text as it is. What takes Lua longer than the text is long (a name is looked for among all variables around
-- it, a jump in the list of those before it) ends with the time, as the text comes piece by piece.
local function loaded(source, name)
  if #source <= AT_ONCE then
    return load(source, name, 't')
  end
  local position = 1 - PIECE
  local chunk, message = load(function()
    limits.patience()
    position = position + PIECE
    return sub(source, position, position + PIECE - 1)
  end, name, 't')
  limits.patience() -- where the time has ended it, that is the error
  return chunk, message
end

-- All chunks count in one variable.
local function count_together(opener, left)
  local index = 1
  repeat
    local name = getupvalue(opener, index)
    if name == left then
      upvaluejoin(opener, index, limits.countdown, 1)
    end
    index = index + 1
  until not name
end

-- Returns what `open` takes, or nil and why the text does not compile.
function chunks.compile(source, name)
  if byte(source) == ESCAPE then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local plain, message = loaded(source, name)
  if not plain then
    return nil, message
  end
  -- To LuaJIT, that is so for any text, and in the middle of one it is none of that.
  local text, left = wrapped(setfenv and chunks.without_first_line_comment(source) or source)
  if not text then
    return nil, left
  end
  local outer, why = loaded(text, name)
  if not outer then
    return nil, why
  end
  local opener = outer(limits.check, 0, limits.tick)
  count_together(opener, left)
  return opener
end

-- Returns a function that runs a chunk in globals.
if setfenv then
  function chunks.open(chunk, env)
    setfenv(chunk, env)
    local main = chunk()
    setfenv(chunk, private)
    return main
  end
else
  function chunks.open(chunk, env)
    return chunk(env)
  end
end

-- The same for what stays: scripts and modules. Remembers where it ends, which tells its main function from others.
function chunks.compile_file(source, path)
  source = chunks.without_first_line_comment(source)
  local _, breaks = gsub(source, '\n', '\n')
  chunks.last_lines['@' .. path] = breaks + 2
  return chunks.compile(source, '@' .. path)
end

return chunks
