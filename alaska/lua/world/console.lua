-- print, io and warn. Output is captured, standard input is empty, and files that a script leaves open are closed.
local run, settings, limits, record = ...

local OUTPUT = 'worker/scripts/output'
local limit = settings.output
local too_much = limits.text(OUTPUT, 'the script printed more than %d octets', limit)
local type, tostring, select, error, setmetatable, rawequal = type, tostring, select, error, setmetatable, rawequal
local concat, format, gsub = table.concat, string.format, string.gsub
local byte, match, sub = string.byte, string.match, string.sub
local unpack = table.unpack or unpack
local NEWLINE = byte '\n'
local math_type = math.type or function() end
local setmetatable_of_any = debug.setmetatable
local count_lines = limits.count_lines
local real = io

local pieces, count, size = {}, 0, 0
local MOST_TRACKED = 16
local weak_keys = { __mode = 'k' }
local files, tracked -- files that runs have opened and not closed; how many were added to this table
local input, output -- default input and output of the run

local function emit(text)
  if run.ended_by then
    limits.end_script()
  end
  size = size + #text
  if limit > 0 and size > limit then
    limits.exceed(OUTPUT, too_much)
  end
  count_lines(text)
  if text ~= '' then
    run.dirty = true
    pieces[count + 1] = text
    count = count + 1
    if run.pending_since or run.eager then
      limits.after_output()
    else
      run.pending_since = true
    end
  end
end

local console = {}

-- `record` has a second parameter, which xpcall must not fill.
local function record_error(value)
  return record(value)
end

-- Returns the result of tostring, or raises its error without the position of this file.
local function plain_tostring(value)
  local kind = type(value)
  if kind == 'number' or kind == 'boolean' or kind == 'nil' then
    return tostring(value)
  end
  local is_good, text = xpcall(tostring, record_error, value)
  if is_good then
    return text
  end
  error(text, 0)
end

-- Converts any value to text. In LuaJIT, __tostring may return a value of any type.
local function text_of(value)
  local text = plain_tostring(value)
  if type(text) ~= 'string' then
    error("'__tostring' must return a string", 0)
  end
  return text
end

-- Converts values to text and joins them with a separator.
local function joined(separator, ...)
  local texts = { ... }
  for i = 1, select('#', ...) do
    texts[i] = text_of(texts[i])
  end
  return concat(texts, separator)
end

console.joined, console.tostring = joined, plain_tostring

function console.print(...)
  if select('#', ...) == 1 then
    local only = ...
    emit((type(only) == 'string' and only or text_of(only)) .. '\n')
  else
    emit(joined('\t', ...) .. '\n')
  end
end

local warns = false

function console.warn(first, ...)
  if first == '@on' or first == '@off' then
    run.dirty, warns = true, first == '@on'
  elseif warns then
    local arguments = { first, ... }
    for i = 1, select('#', first, ...) do
      local kind = type(arguments[i])
      if kind ~= 'string' and kind ~= 'number' then
        error(format("bad argument #%d to 'warn' (string expected, got %s)", i, kind), 2)
      end
    end
    emit('Lua warning: ' .. concat(arguments) .. '\n')
  end
end

-- The three standard files: Lua's own file objects with a metatable of Alaska's. They are userdata, so a script can
-- read and write them, but cannot store anything in them.
local methods = {}
local names = {}
local close = real.stdout.close
local file_metatable = getmetatable(real.stdout)

local function standard(name)
  local file = real[name]
  names[file] = name
  setmetatable_of_any(file, {
    __index = methods,
    __name = 'FILE*',
    __tostring = function()
      return 'file (' .. name .. ')'
    end,
  })
  return file
end

local stdin, stdout, stderr = standard 'stdin', standard 'stdout', standard 'stderr'

local function as_text(value, position)
  local kind = type(value)
  if kind == 'string' then
    return value
  elseif kind ~= 'number' then
    error(format("bad argument #%d to 'write' (string expected, got %s)", position, kind), 4)
  end
  return math_type(value) == 'integer' and value .. '' or format('%.14g', value)
end

local function write(...)
  for i = 1, select('#', ...) do
    emit(as_text((select(i, ...)), i))
  end
end

function methods.write(file, ...)
  if rawequal(file, stdin) then
    return nil, 'Bad file descriptor', 9
  end
  write(...)
  return file
end

-- At the end of the input, only the format "a" (all that remains) returns something: an empty string.
function methods.read(file, ...)
  if not rawequal(file, stdin) then
    return nil, 'Bad file descriptor', 9
  end
  local wanted = select('#', ...) == 0 and 'l' or (...)
  if wanted ~= 'a' and wanted ~= '*a' then
    return nil
  end
  return ''
end

function methods.lines(file, ...)
  local formats = { ... }
  return function()
    return (methods.read(file, unpack(formats)))
  end
end

function methods.close()
  return nil, 'cannot close standard file'
end

function methods.seek()
  return nil, 'Illegal seek', 29
end

function methods.flush(file)
  return file
end

function methods.setvbuf()
  return true
end

local function forget_files()
  files, tracked = setmetatable({}, weak_keys), 0
end

forget_files()

-- Records an open file, to be closed when the run has ended. Many of them may leave a large table behind.
local function track_file(file)
  if file then
    files[file], tracked = true, tracked + 1
    run.dirty = run.dirty or tracked > MOST_TRACKED
  end
end

local function close_tracked(file, ...)
  if type(file) == 'userdata' then
    files[file] = nil
  end
  return close(file, ...)
end

local io = {}
for name, value in next, real do
  io[name] = value
end

local function opener(open)
  return function(...)
    local file, message, code = open(...)
    track_file(file)
    return file, message, code
  end
end

-- Wraps a function that may block: pending messages and output are flushed to the worker first.
local function blocking(call)
  return call and function(...)
    limits.deliver_before_wait()
    return call(...)
  end
end

console.blocking = blocking
for _, name in ipairs { 'read', 'lines' } do
  file_metatable.__index[name] = blocking(file_metatable.__index[name])
end
file_metatable.__index.close = blocking(close_tracked)

io.open = blocking(opener(real.open))
io.popen = blocking(opener(real.popen))
io.tmpfile = opener(real.tmpfile)

function io.write(...)
  if rawequal(output, stdout) then
    write(...)
    return stdout
  end
  return output:write(...)
end

function io.read(...)
  return input:read(...)
end

function io.lines(name, ...)
  if name == nil then
    return input:lines(...)
  end
  local there, message = real.open(name)
  if not there then
    error(message, 2)
  end
  close(there)
  local iterate, state, control, file = real.lines(name, ...)
  track_file(file)
  return iterate, state, control, file
end

-- Returns the file that becomes the default for io.input or io.output, or nil if they were only queried.
local function default(file, mode)
  if type(file) ~= 'string' then
    return file
  end
  local opened, message = real.open(file, mode)
  if not opened then
    error(format("cannot open file '%s' (%s)", file, gsub(message, '^.-: ', '', 1)), 3)
  end
  track_file(opened)
  return opened
end

function io.input(file)
  run.dirty = true
  input = default(file, 'r') or input
  return input
end

function io.output(file)
  run.dirty = true
  output = default(file, 'w') or output
  return output
end

function io.close(file)
  return (file or output):close()
end

function io.type(value)
  return names[value] and 'file' or real.type(value)
end

console.io = io
console.file_metatable = file_metatable

-- Resets the state for the next run.
function console.begin()
  if count ~= 0 then
    pieces, count = {}, 0
  end
  size = 0
  warns = false
  input, output = stdin, stdout
end

console.begin()

-- Returns the number of captured octets.
function console.captured_octets()
  return size
end

function console.output()
  if count == 0 then
    return ''
  end
  return concat(pieces, '', 1, count)
end

-- Removes and returns all complete captured lines; nil if there are none.
function console.take_lines()
  if count == 0 then
    return nil
  end
  local text = concat(pieces, '', 1, count)
  local after = byte(text, -1) == NEWLINE and #text + 1 or match(text, '^.*\n()') or 1
  if after > #text then
    pieces, count = {}, 0
    return text
  end
  pieces, count = { sub(text, after) }, 1
  return after > 1 and sub(text, 1, after - 1) or nil
end

-- Returns whether files that runs have opened may still be open.
function console.has_open_files()
  return next(files) ~= nil
end

function console.close_files()
  if tracked == 0 then
    return
  end
  local left = files
  forget_files()
  for file in next, left do
    if real.type(file) == 'file' then
      close(file)
    end
  end
end

return console
