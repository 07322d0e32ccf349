-- The globals of a run: fresh copies of Lua's own, with what could reach beyond the run replaced.
--
-- Copying all libraries costs more than a small script does. So a script gets those that its text names, or all of
-- them if it names anything by which globals can be reached otherwise. No script can tell the difference.
local run, settings, EXIT, CALL, console, sending, modules, api = ...

local error, type, rawget, tonumber = error, type, rawget, tonumber
local getmetatable, setmetatable = getmetatable, setmetatable
local format, gmatch, concat, sort = string.format, string.gmatch, table.concat, table.sort
local raw_debug, raw_collectgarbage, raw_randomseed = debug, collectgarbage, math.randomseed
local isyieldable, yield, create, resume = coroutine.isyieldable, coroutine.yield, coroutine.create, coroutine.resume
local status, close = coroutine.status, coroutine.close

local function copy(library)
  local new = {}
  for name, value in next, library do
    new[name] = value
  end
  return new
end

-- What the globals are, before each run gets its copy: the functions, then the libraries.
local base = {}
for name, value in next, _G do
  if type(value) ~= 'table' then
    base[name] = value
  end
end
base.print, base.warn = console.print, console.warn
base.send, base.sendTo, base.sendFor = sending.send, sending.sendTo, sending.sendFor
base.load, base.loadfile, base.dofile, base.require = modules.load, modules.loadfile, modules.dofile, modules.require

local libraries = {
  string = string,
  table = table,
  math = copy(math),
  utf8 = utf8,
  io = console.io,
  os = copy(os),
  coroutine = copy(coroutine),
  debug = {},
}

-- Metatables

-- All strings share one metatable. The one that stands in `string_metatable` is never shown: a script that asks for
-- it gets a copy, which is in force until its run ends. That of files is shown as a copy too, to compare it with.
local string_metatable = getmetatable ''
local is_copy_in_force = false
local copy_for_files

local function show_string_metatable()
  if not is_copy_in_force then
    raw_debug.setmetatable('', copy(string_metatable))
    is_copy_in_force = true
  end
  return getmetatable ''
end

local function show_file_metatable()
  if not copy_for_files then
    copy_for_files = copy(console.file_metatable)
    copy_for_files.__index = copy(console.file_metatable.__index)
  end
  return copy_for_files
end

function base.getmetatable(...)
  local value = ...
  local kind = type(value)
  if kind == 'string' then
    return show_string_metatable()
  elseif kind ~= 'table' and kind ~= 'nil' then
    if kind == 'userdata' and console.io.type(value) then
      return show_file_metatable()
    end
    run.odd = run.odd or getmetatable(value) ~= nil -- that of a C module's object: all runs share it
  end
  return getmetatable(...)
end

function base.setmetatable(value, metatable, ...)
  if type(metatable) == 'table' and rawget(metatable, '__gc') ~= nil then
    run.finalizers = true
  end
  return setmetatable(value, metatable, ...)
end

-- What changes the interpreter for good

local function odd(raw)
  return function(...)
    run.odd = true
    return raw(...)
  end
end

local harmless = { collect = true, count = true, step = true, isrunning = true }

function base.collectgarbage(option, ...)
  if option ~= nil and not harmless[option] then
    run.odd = true
  end
  return raw_collectgarbage(option, ...)
end

local harmless_debug = { traceback = true, getinfo = true, gethook = true }
for name, value in next, raw_debug do
  libraries.debug[name] = harmless_debug[name] and value or odd(value)
end

-- Each seed is new, and cannot be known from the numbers that another one gave.
local seeds_used = 0
local is_reseeded = true

local function reseed()
  if is_reseeded then
    seeds_used = seeds_used + 1
    raw_randomseed(settings.seed, seeds_used)
    is_reseeded = false
  end
end

reseed()

function libraries.math.randomseed(...)
  is_reseeded = true
  return raw_randomseed(...)
end

-- The locale belongs to the process, and numbers are written by it.
function libraries.os.setlocale(locale)
  if locale == nil or locale == '' or locale == 'C' or locale == 'POSIX' then
    return 'C'
  end
  return nil
end

-- os.exit ends the request and not the process

local function leave()
  if isyieldable() then
    yield(EXIT)
  end
  run.odd = true -- a pcall may catch EXIT, and keep something in it
  error(EXIT, 0)
end

function libraries.os.exit(code)
  if code == nil or code == true then
    code = 0
  elseif code == false then
    code = 1
  else
    code = tonumber(code) or error(format("bad argument #1 to 'exit' (number expected, got %s)", type(code)), 2)
  end
  local at = raw_debug.getinfo(2, 'Sl')
  local where = at and at.currentline > 0 and format('%s:%d: ', at.short_src, at.currentline) or ''
  run.exit = { text = code ~= 0 and format('%sos.exit(%s) was called', where, code) or nil }
  leave()
end

-- Hands on what a coroutine asks the worker for, and returns the answer.
local function ask(...)
  if not isyieldable() then
    return false, 'there is no answer: the coroutine that waits for it was resumed by table.sort, string.gsub or a C module'
  end
  return yield(...)
end

-- A coroutine that called os.exit yields EXIT to the one that resumed it, which has to leave as well. One that asks the
-- worker for something yields CALL, and goes on with the answer.
local function resumed(thread, ok, ...)
  local first = ...
  if first == EXIT then
    leave()
  elseif first == CALL then
    return resumed(thread, resume(thread, ask(...)))
  end
  return ok, ...
end

function libraries.coroutine.resume(thread, ...)
  return resumed(thread, resume(thread, ...))
end

-- The same for coroutine.wrap, which raises what went wrong, with the place where it was called.
local function unwrapped(thread, ok, ...)
  local first = ...
  if first == EXIT then
    leave()
  elseif first == CALL then
    return unwrapped(thread, resume(thread, ask(...)))
  elseif ok then
    return ...
  end
  local value = ...
  if status(thread) == 'dead' then
    local is_closed, latest = close(thread)
    value = is_closed and value or latest
  end
  error(value, 2)
end

function libraries.coroutine.wrap(body)
  if type(body) ~= 'function' then
    error("bad argument #1 to 'wrap' (function expected)", 2)
  end
  local thread = create(body)
  return function(...)
    return unwrapped(thread, resume(thread, ...))
  end
end

-- Making the globals of a run

local names_of_all = {}
for name in next, libraries do
  names_of_all[#names_of_all + 1] = name
end
sort(names_of_all)

-- Whatever a script may call to get at globals by other means than their names in its text.
local ways_to_all = {}
for word in gmatch('_G _ENV load loadstring loadfile dofile require module package debug getmetatable setmetatable '
  .. 'getfenv setfenv', '%S+') do
  ways_to_all[word] = true
end

-- Returns the names of the libraries that a script may use, whether that is all of them, and whether it may use the
-- table `alaska`.
local function libraries_in(source)
  local named, has_api = {}, false
  for word in gmatch(source, '[%a_][%w_]*') do
    if ways_to_all[word] then
      return names_of_all, true, true
    end
    has_api = has_api or word == 'alaska'
    named[word] = libraries[word] and true
  end
  local names = {}
  for _, name in ipairs(names_of_all) do
    if named[name] then
      names[#names + 1] = name
    end
  end
  return names, false, has_api
end

-- Writes a table constructor: one that names its fields makes a table in a third of the time that a loop takes.
local function constructor(variable, fields)
  local items = {}
  for name in next, fields do
    items[#items + 1] = format('%s = %s.%s', name, variable, name)
  end
  sort(items)
  return concat(items, ', ')
end

local makers = {}

local function make_maker(names, has_package, has_api)
  local locals, items = {}, {}
  for i, name in ipairs(names) do
    locals[i] = format('local %s = libraries.%s', name, name)
    items[i] = format('%s = { %s },', name, constructor(name, libraries[name]))
  end
  local source = 'local base, libraries, string_metatable, make_package, names, make_api = ...\n'
    .. concat(locals, '\n')
    .. '\nreturn function(context)\n  local env = { alaskaContext = context, ' .. concat(items, ' ')
    .. constructor('base', base) .. ' }\n  env._G = env\n'
    .. '  string_metatable.__index = env.string or libraries.string\n'
    .. (has_api and '  env.alaska = make_api()\n' or '')
    .. (has_package and '  env.package = make_package(env, names)\n' or '') .. '  return env\nend'
  return load(source, '=[alaska maker]', 't', {})(base, libraries, string_metatable, modules.package, names, api.make)
end

local environment = {}

-- Returns the function that makes the globals for a script, given its source, and whether it needs to know the request.
-- The function takes the request's context.
function environment.maker(source)
  local names, is_all, has_api = libraries_in(source)
  local key = is_all and 'all' or concat(names, ' ') .. (has_api and ' alaska' or '')
  makers[key] = makers[key] or make_maker(names, is_all, has_api)
  return makers[key], has_api
end

-- Undoes what a run did to what all runs share.
function environment.restore()
  if is_copy_in_force then
    raw_debug.setmetatable('', string_metatable)
    is_copy_in_force = false
  end
  copy_for_files = nil
  reseed()
end

return environment
