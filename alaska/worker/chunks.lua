-- Compiles Lua text so that it can be run in any globals, and is checked for its time.
--
-- A chunk is the body of a function in another one, which has what its checks need in local variables. No name of
-- these stands in the text, so the text cannot use them, and it is a whole chunk by itself, so it cannot leave its
-- function.
local limits, with_checks, private = ...

local load, gmatch, gsub, setfenv, type = load, string.gmatch, string.gsub, setfenv, type
local byte, format = string.byte, string.format

local ESCAPE = 27 -- what precompiled code begins with

local chunks = { last_lines = {} } -- by the name of a chunk, the line where its function ends

-- Lua ignores a first line that begins with '#', for Unix, and a byte order mark.
function chunks.without_first_line_comment(source)
  source = gsub(source, '^\239\187\191', '', 1)
  return (gsub(source, '^#[^\n]*', '', 1))
end

local function wrapped(source)
  local name = 'alaska_check'
  for found in gmatch(source, 'alaska_check_*') do
    if #found >= #name then
      name = found .. '_'
    end
  end
  local env = setfenv and '' or ', _ENV'
  if not limits.check then
    return format('local %s%s = ... return function(...) ', name, env) .. source .. '\nend'
  end
  local left = name .. 'left'
  local check = format('%s=%s-1 if %s<0 then %s=%s()end;', left, left, left, left, name)
  return format('local %s%s = ... local %s = %d return function(...) %s', name, env, left, limits.first, check)
    .. with_checks(source, check, limits.patience) .. '\nend'
end

-- Returns what `open` takes, or nil and why the text does not compile.
function chunks.compile(source, name)
  if byte(source) == ESCAPE then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local plain, message = load(source, name, 't')
  if not plain then
    return nil, message
  end
  return load(wrapped(source), name, 't')
end

-- Returns a function that runs a chunk in globals.
if setfenv then
  function chunks.open(chunk, env)
    setfenv(chunk, env)
    local main = chunk(limits.check)
    setfenv(chunk, private)
    return main
  end
else
  function chunks.open(chunk, env)
    return chunk(limits.check, env)
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
