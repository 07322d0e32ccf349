-- Compiles Lua source so that it can run with any table of globals, with time checks inserted.
--
-- The source becomes the body of a function inside two wrapper functions. The wrappers hold the values that the time
-- checks need as local variables. Their names do not occur in the source, so the script cannot use them. The source is
-- compiled alone first, so it is known to be complete and cannot close the function around it.
local limits, with_checks, private = ...

local load, gmatch, gsub, setfenv, type = load, string.gmatch, string.gsub, setfenv, type
local byte, format = string.byte, string.format
local getupvalue, upvaluejoin = debug.getupvalue, debug.upvaluejoin
local env = setfenv and '' or '_ENV'

local ESCAPE = 27 -- first octet of precompiled code

local chunks = { last_lines = {} } -- chunk name -> line where its main function ends

-- Removes what the Lua interpreter ignores at the start of a file: a byte order mark and a "#!" line.
function chunks.without_first_line_comment(source)
  source = gsub(source, '^\239\187\191', '', 1)
  return (gsub(source, '^#[^\n]*', '', 1))
end

-- Returns the wrapped source and the name of its countdown variable. The names of the three variables (check function,
-- countdown, check within an expression) are chosen so that they do not occur in the source.
local function wrapped(source)
  local name = 'alaska_check'
  for found in gmatch(source, 'alaska_check_*') do
    if #found >= #name then
      name = found .. '_'
    end
  end
  local left, tick = name .. 'left', name .. 'tick'
  local head = format('local %s, %s, %s = ... return function(%s) return function(...)', name, left, tick, env)
  if not limits.check then
    return head .. ' ' .. source .. '\nend end', left
  end
  local function check(weight)
    return format(' %s=%s-%d if %s<0 then %s=%s()end;', left, left, weight, left, left, name)
  end
  return head .. with_checks(source, check, tick, limits.check_time) .. '\nend end', left
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

-- Returns a compiled chunk for `open`, or nil and the error message.
function chunks.compile(source, name)
  if byte(source) == ESCAPE then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local plain, message = load(source, name, 't')
  if not plain then
    return nil, message
  end
  local text, left = wrapped(source)
  local outer, why = load(text, name, 't')
  if not outer then
    return nil, why
  end
  local opener = outer(limits.check, 0, limits.tick)
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
