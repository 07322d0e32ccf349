-- Compiles Lua source so that it can run with any table of globals, with time checks inserted.
--
-- The source becomes the body of a function inside two wrapper functions. The wrappers hold the values that the time
-- checks need as local variables. Their names do not occur in the source, so the script cannot use them. The source is
-- compiled alone first, so it is known to be complete and cannot close the function around it.
local limits, with_checks, private = ...

local load, gmatch, gsub, setfenv, type = load, string.gmatch, string.gsub, setfenv, type
local byte, format, sub = string.byte, string.format, string.sub
local getupvalue, upvaluejoin = debug.getupvalue, debug.upvaluejoin
local env = setfenv and '' or '_ENV'

local ESCAPE = 27 -- first octet of precompiled code
local LONG, PIECE = 32768, 1024 -- octets: of a text whose compilation checks the time, and between two checks

local chunks = { last_lines = {} } -- chunk name -> line where its main function ends

-- Removes what the Lua interpreter ignores at the start of a file: a byte order mark and a "#!" line.
function chunks.without_first_line_comment(source)
  source = gsub(source, '^\239\187\191', '', 1)
  return (gsub(source, '^#[^\n\r]*', '', 1))
end

-- Returns the wrapped source and the name of its countdown variable, or nil and an error message. The names of the
-- three variables (check function, countdown, check within an expression) are chosen so that they do not occur in the
-- source. They are short whatever the source contains, because there may be very many checks.
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
  local checked, message = with_checks(source, check, tick, limits.check_time)
  if not checked then
    return nil, message
  end
  return head .. checked .. '\nend end', left
end

-- Compiles a text. Some texts take Lua longer than linear time: it searches all variables in scope for each name, and
-- all earlier gotos for each label. So Lua reads a long text in pieces, with a time check before each.
local function load_text(source, name)
  if #source <= LONG then
    return load(source, name, 't')
  end
  local position = 1 - PIECE
  local chunk, message = load(function()
    limits.check_time()
    position = position + PIECE
    return sub(source, position, position + PIECE - 1)
  end, name, 't')
  limits.check_time() -- raises the error again if the time limit ended the compilation
  return chunk, message
end

-- Makes all chunks share one countdown variable.
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

-- Returns a compiled chunk for `open`, or nil and the error message. `check` is the function that its checks call, by
-- default that for scripts.
function chunks.compile(source, name, check)
  if byte(source) == ESCAPE then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local plain, message = load_text(source, name)
  if not plain then
    return nil, message
  end
  -- LuaJIT ignores a byte order mark and a "#!" line at the start of any text. Within the wrappers it would not.
  local text, left = wrapped(setfenv and chunks.without_first_line_comment(source) or source)
  if not text then
    return nil, left
  end
  local outer, why = load_text(text, name)
  if not outer then
    return nil, why
  end
  local opener = outer(check or limits.check, 0, limits.tick)
  count_together(opener, left)
  return opener
end

-- Returns the main function of a compiled chunk, with these globals.
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

-- Compiles a script or module file. Also stores the line where its main function ends, which distinguishes that
-- function from others.
function chunks.compile_file(source, path)
  source = chunks.without_first_line_comment(source)
  local _, breaks = gsub(source, '\n', '\n')
  chunks.last_lines['@' .. path] = breaks + 2
  return chunks.compile(source, '@' .. path)
end

return chunks
