-- load and require: code that a script brings in runs in the script's world, and each run loads its modules anew.
--
-- What is kept from run to run is compiled code, never a module's value, so no module can carry anything over.
local run, settings, part, console = ...

local error, load, type, pcall, tostring, select = error, load, type, pcall, tostring, select
local open, searchpath = io.open, package.searchpath
local concat, format, gsub, unpack = table.concat, string.format, string.gsub, table.unpack or unpack
local upvaluejoin = debug.upvaluejoin
local real = package
local builtins = { cjson = 'cjson', ['cjson.safe'] = 'cjson', ['pl.pretty'] = 'pretty' } -- name -> part

real.path, real.cpath = settings.path, settings.cpath -- the latter is what C modules are found by

local modules = {}

-- Makes the globals of a chunk those of a run. The chunk gets a new variable for them, so functions that it made
-- in an earlier run keep theirs.
local function join(chunk, env)
  upvaluejoin(chunk, 1, function()
    return env
  end, 1)
end

modules.join = join

local nothing = nil
local function released()
  return nothing
end

local joined, joined_count = {}, 0

-- Lets go of the run's globals.
function modules.finish(chunk)
  upvaluejoin(chunk, 1, released, 1)
  for i = 1, joined_count do
    upvaluejoin(joined[i], 1, released, 1)
    joined[i] = nil
  end
  joined_count = 0
  run.env, run.loaded, run.preload, run.package = nil, nil, nil, nil
end

-- Lua ignores a first line that begins with '#', for Unix, and a byte order mark.
local function without_first_line_comment(source)
  source = gsub(source, '^\239\187\191', '', 1)
  return (gsub(source, '^#[^\n]*', '', 1))
end

modules.without_first_line_comment = without_first_line_comment

local function globals()
  return run.env or error('the script has ended', 3)
end

-- Precompiled code is refused: Lua does not check it, and the wrong octets end the process.
function modules.load(chunk, name, mode, ...)
  if mode == 'b' then
    return nil, 'attempt to load a binary chunk (only text is loaded)'
  end
  local env = ...
  if select('#', ...) == 0 then
    env = globals()
  end
  return load(chunk, name, 't', env)
end

local function read(path)
  local file, message = open(path, 'rb')
  if not file then
    return nil, message
  end
  local source
  source, message = file:read('a')
  file:close()
  return source, message
end

function modules.loadfile(path, mode, ...)
  if path == nil then
    return nil, 'cannot read stdin'
  end
  local source, message = read(path)
  if not source then
    return nil, 'cannot open ' .. tostring(message)
  end
  return modules.load(without_first_line_comment(source), '@' .. path, mode, ...)
end

function modules.dofile(path)
  local chunk, message = modules.loadfile(path)
  if not chunk then
    error(message, 0)
  end
  return chunk()
end

-- Finding modules

local own = {} -- name of a file of ours -> its chunk
local compiled = {} -- path -> { source =, chunk = }
local system = {} -- name of a module -> { path =, once compiled, or missing = }

-- Returns the chunk of a module's file, ready for this run, and the path; raises an error if it does not compile.
local function chunk_of(name, path, source)
  local known = compiled[path]
  if not known or source and known.source ~= source then
    local chunk, message = load(without_first_line_comment(source), '@' .. path, 't', nil)
    if not chunk then
      error(format("error loading module '%s' from file '%s':\n\t%s", name, path, message), 0)
    end
    known = { source = source, chunk = chunk }
    compiled[path] = known
  end
  join(known.chunk, globals())
  joined_count = joined_count + 1
  joined[joined_count] = known.chunk
  return known.chunk, path
end

local function from_preload(name)
  local loader = run.preload[name]
  if loader == nil then
    return format("no field package.preload['%s']", name)
  end
  return loader, ':preload:'
end

-- The modules that stand next to the scripts are read each time: an edit serves from the next request on.
local function from_directory(name)
  local base = run.directory .. '/' .. gsub(name, '%.', '/')
  local missing = {}
  for i, path in ipairs { base .. '.lua', base .. '/init.lua' } do
    local source, message = read(path)
    if source then
      return chunk_of(name, path, source)
    end
    missing[i] = format("no file '%s'", path)
  end
  return concat(missing, '\n\t')
end

-- What was looked for in the places of the system is remembered, found or not, as long as the interpreter lives.
local function from_path(name)
  local paths = run.package.path
  if type(paths) ~= 'string' then
    error("'package.path' must be a string", 0)
  end
  local is_default = paths == settings.path
  local known = is_default and system[name]
  if known and known.path then
    return chunk_of(name, known.path)
  elseif known then
    return known.missing
  end
  local path, missing = searchpath(name, paths)
  if not path then
    missing = gsub(missing, '^\n\t', '')
    if is_default then
      system[name] = { missing = missing }
    end
    return missing
  end
  local source, message = read(path)
  if not source then
    error(format("error loading module '%s' from file '%s':\n\t%s", name, path, message), 0)
  end
  local chunk = chunk_of(name, path, source)
  if is_default then
    system[name] = { path = path }
  end
  return chunk, path
end

-- A C module that cannot be loaded counts as one that is not there: perhaps a later searcher has a replacement.
local function from_c(searcher)
  local known = {}
  return function(name)
    local answer = known[name]
    if not answer then
      local ok, loader, path = pcall(searcher, name)
      if not ok or type(loader) ~= 'function' then
        loader, path = gsub(tostring(loader), '^\n\t', ''), nil
      end
      answer = { loader, path }
      known[name] = answer
    end
    return answer[1], answer[2]
  end
end

local from_c_file, from_c_package = from_c(real.searchers[3]), from_c(real.searchers[4])

-- A value that is nothing else, cannot be changed and is no table, as lua-cjson's null is: the identity of a variable.
local null = debug.upvalueid(released, 1)

modules.null = null

local shared_values = {} -- what parts of our modules return, made once: functions that keep nothing

local function shared(name)
  shared_values[name] = shared_values[name] or part(name)(null)
  return shared_values[name]
end

modules.shared = shared

local function from_builtins(name)
  local file = builtins[name]
  if not file then
    return format("no module of Alaska's own '%s'", name)
  end
  own[file] = own[file] or part(file)
  return function()
    return own[file](name, null, console, shared)
  end, ':alaska:'
end

local searchers = { from_preload, from_directory, from_path, from_c_file, from_c_package, from_builtins }

local function loader_of(name)
  local places = run.package.searchers
  if type(places) ~= 'table' then
    error("'package.searchers' must be a table", 3)
  end
  local missing = ''
  for i = 1, #places do
    local loader, extra = places[i](name)
    if type(loader) == 'function' then
      return loader, extra
    elseif type(loader) == 'string' then
      missing = missing .. '\n\t' .. loader
    end
  end
  error(format("module '%s' not found:%s", name, missing), 3)
end

function modules.require(name)
  if type(name) ~= 'string' then
    error(format("bad argument #1 to 'require' (string expected, got %s)", name == nil and 'nil' or type(name)), 2)
  end
  globals()
  local loaded = run.loaded
  local value = loaded[name]
  if value then
    return value
  end
  local loader, extra = loader_of(name)
  value = loader(name, extra)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name], extra
end

local function refuse_loadlib()
  return nil, 'a C library is loaded by require, and from the places of the system only', 'absent'
end

-- Makes the package library of a run; `env` has all the other libraries.
function modules.package(env, libraries)
  local loaded = { _G = env }
  for i = 1, #libraries do
    loaded[libraries[i]] = env[libraries[i]]
  end
  local package = {
    path = settings.path,
    cpath = settings.cpath,
    config = real.config,
    loaded = loaded,
    preload = {},
    searchers = { unpack(searchers) },
    searchpath = searchpath,
    loadlib = refuse_loadlib,
  }
  loaded.package = package
  run.loaded, run.preload, run.package = loaded, package.preload, package
  return package
end

return modules
