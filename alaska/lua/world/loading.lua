-- load, loadfile and dofile. Source that a script loads gets the same time checks as the script, and runs with its
-- globals.
local run, settings, chunks, limits, console = ...

local error, type, pcall, tostring, select = error, type, pcall, tostring, select
local open, find, format, concat = io.open, string.find, string.format, table.concat
local compile, open_chunk = chunks.compile, chunks.open
local is_5_1 = setfenv ~= nil
-- The same limit as for a script file.
local MAX_OCTETS = settings.sandbox and 4 * 1024 * 1024 or math.huge

local too_long = settings.sandbox and format('the text has more than %d octets', MAX_OCTETS)
local loading = {}

function loading.globals()
  return run.env or error('the script has ended', 3)
end

local globals = loading.globals

-- Returns the concatenated pieces that a reader function passed to load returns, or nil and its error.
local function pieces_of(reader)
  local pieces, count, octets = {}, 0, 0
  while true do
    limits.check_time()
    local is_good, piece = pcall(reader) -- not called directly, so that errors have no position of this file
    if not is_good and type(piece) == 'string' and find(piece, 'not enough memory$') then
      error(piece, 0)
    elseif not is_good then
      return nil, piece
    elseif piece == nil or piece == '' then
      return concat(pieces)
    elseif type(piece) ~= 'string' and type(piece) ~= 'number' then
      return nil, 'reader function must return a string'
    end
    count, octets = count + 1, octets + #(piece .. '')
    if octets > MAX_OCTETS then
      return nil, too_long
    end
    pieces[count] = piece
  end
end

-- Precompiled code is refused: Lua does not verify it, and invalid code can crash the process.
function loading.load(source, name, mode, ...)
  local kind = type(source)
  if kind == 'function' then
    local text, failure = pieces_of(source)
    if not text then
      return nil, failure
    end
    source, name = text, name or '=(load)'
  elseif kind == 'number' then
    source = source .. ''
  elseif kind ~= 'string' then
    error(format("bad argument #1 to 'load' (function expected, got %s)", kind == 'nil' and 'no value' or kind), 2)
  end
  if name ~= nil and type(name) ~= 'string' and type(name) ~= 'number' then
    error(format("bad argument #2 to 'load' (string expected, got %s)", type(name)), 2)
  elseif mode == 'b' then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local env = ...
  if select('#', ...) == 0 or env == nil and is_5_1 then
    env = globals()
  elseif is_5_1 and type(env) ~= 'table' then
    error(format("bad argument #4 to 'load' (table expected, got %s)", type(env)), 2)
  end
  if #source > MAX_OCTETS then
    return nil, too_long
  end
  if name and find(name, '^[=@]%[alaska ') then
    name = '=(load)' -- names of this form identify Alaska's own chunks (limits.lua)
  end
  limits.check_time()
  local chunk, message = compile(source, name or source)
  if not chunk then
    return nil, message
  end
  return open_chunk(chunk, env)
end

-- In Lua 5.1, load takes functions and loadstring takes strings.
function loading.loadstring(source, name)
  return loading.load(source, name)
end

-- Opens a file for Alaska's own modules.
function loading.open(path, mode)
  if settings.sandbox then
    return nil, path .. ': there are no files in the sandbox'
  end
  return console.io.open(path, mode)
end

local function read(path)
  local file, message = open(path, 'rb')
  if not file then
    return nil, message
  end
  local source
  source, message = file:read('*a')
  file:close()
  return source, message
end

function loading.loadfile(path, mode, ...)
  if path == nil then
    return nil, 'cannot read stdin'
  end
  local source, message = read(path)
  if not source then
    return nil, 'cannot open ' .. tostring(message)
  end
  return loading.load(chunks.without_first_line_comment(source), '@' .. path, mode, ...)
end

function loading.dofile(path)
  local chunk, message = loading.loadfile(path)
  if not chunk then
    error(message, 0)
  end
  return chunk()
end

loading.read = read

return loading
