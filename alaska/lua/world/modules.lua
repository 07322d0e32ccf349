-- require. A module runs with the globals of the script, and each run loads its modules again.
--
-- Only compiled code is cached between runs, never a module's value, so modules cannot carry state from one run to the
-- next.
local run, settings, part_with_checks, chunks, limits, questions, console, loading, seen_by_system,
  bounded = ...

local error, type, pcall, tostring, rawequal = error, type, pcall, tostring, rawequal
local rawget, rawset = rawget, rawset
local searchpath, globals, read = package.searchpath, loading.globals, loading.read
local find, format, gsub, match, sub = string.find, string.format, string.gsub, string.match, string.sub
local unpack = table.unpack
local isyieldable = coroutine.isyieldable
local open_chunk = chunks.open
local real, is_5_1 = package, setfenv ~= nil
local MAX_NAMES, LONGEST = 1000, 255 -- names in the cache; octets of a name
local builtins = { cjson = 'cjson', ['cjson.safe'] = 'cjson', ['pl.pretty'] = 'pretty' } -- name -> Alaska's file

real.path, real.cpath = settings.path, settings.cpath -- cpath is used to find C modules

local modules, no_folders = {}, {}
for name, value in next, loading do
  modules[name] = value
end

-- Releases the references to the run's globals.
function modules.finish()
  run.loaded, run.preload, run.package, run.array, run.stripped = nil, nil, nil, nil, nil
  run.missing_folders = no_folders
end

-- Finding modules

local own_chunks = {} -- name of one of Alaska's files -> its function
local local_modules = {} -- name of a module in the scripts directory -> { version =, chunk = }
local system = {} -- name of a system module -> { path =, chunk =, or missing = }
local system_count = 0

-- Compiles a module's source, or raises an error.
local function compiled(name, path, source)
  local chunk, message = chunks.compile_file(source, path)
  if not chunk then
    error(format("error loading module '%s' from file '%s':\n\t%s", name, path, message), 0)
  end
  return chunk
end

-- System modules may expect libraries that a script in the sandbox does not have.
local function globals_of_system(name)
  local env = globals()
  return seen_by_system and seen_by_system.globals(env, name) or env
end

-- Returns whether a script in the sandbox may require a system module. The setting `modules` contains names, and
-- prefixes with a star. With `is_whole`, prefixes do not count: the whole name or "*" must be listed.
local allowed = {}
for word in string.gmatch(settings.modules, '%S+') do
  allowed[word] = true
end

local function is_allowed(name, is_whole)
  if not settings.sandbox or allowed[name] or allowed['*'] then
    return true
  elseif is_whole then
    return false
  end
  local prefix = name
  repeat
    prefix = gsub(prefix, '%.?[^.]*$', '')
    if allowed[prefix .. '.*'] then
      return true
    end
  until prefix == ''
  return false
end

local function from_preload(name)
  local loader = rawget(run.preload, name)
  if loader == nil then
    return format("no field package.preload['%s']", name)
  end
  return loader, ':preload:'
end

-- Modules in the scripts directory are checked at each require, so an edit takes effect with the next request. Python
-- does the check, as for scripts: it can tell regular files from others, and where links lead. A folder that is missing
-- is not looked for again during the run, so that system modules can load others in places where no question to the
-- worker is possible.
local function from_directory(name)
  local folder = match(name, '^[^.]*%.')
  if find(name, '%c') then
    return 'no module has a name with control characters'
  elseif run.missing_folders[folder] then
    return format("no folder '%s' beside the scripts", sub(folder, 1, -2))
  elseif not isyieldable() then
    error(format("module '%s' cannot be loaded within a function that is called by table.sort, string.gsub, tostring or "
      .. 'a C module; load it before', name), 0)
  end
  local known = local_modules[name]
  local is_found, path, version, source =
    questions.ask('module', run.script.directory, name, known and known.version or '')
  if is_found == nil then
    local_modules[name] = nil
    run.missing_folders[version .. '.'] = version ~= '' or nil
    return path
  elseif not is_found then
    error(path, 0)
  elseif source then
    known = { version = version, chunk = compiled(name, path, source) }
    local_modules[name] = known
  end
  return open_chunk(known.chunk, globals()), path
end

-- The cache is bounded, because a script may require any number of names.
local function cache_result(name, found)
  if system_count == MAX_NAMES then
    system, system_count = {}, 0
  end
  system[name], system_count = found, system_count + 1
end

-- Results for the system's paths, found or not, are cached for the lifetime of the interpreter.
local function from_path(name)
  local paths = settings.sandbox and settings.path or run.package.path
  if type(paths) ~= 'string' then
    error("'package.path' must be a string", 0)
  elseif not is_allowed(name) then
    return format("the sandbox does not allow the system's module '%s' (worker/scripts/modules)", name)
  end
  local is_default = paths == settings.path
  local known = is_default and system[name]
  if known and known.path then
    return open_chunk(known.chunk, globals_of_system(name)), known.path
  elseif known then
    return known.missing
  end
  local path, missing = searchpath(name, paths)
  if not path then
    missing = gsub(missing, '^\n\t', '')
    if is_default then
      cache_result(name, { missing = missing })
    end
    return missing
  end
  local source, message = read(path)
  if not source then
    error(format("error loading module '%s' from file '%s':\n\t%s", name, path, message), 0)
  end
  local chunk = compiled(name, path, source)
  if is_default then
    cache_result(name, { path = path, chunk = chunk })
  end
  return open_chunk(chunk, globals_of_system(name)), path
end

-- A C module that cannot be loaded counts as missing, because a later searcher may have a replacement.
local function from_c(searcher)
  local known = {}
  return function(name)
    if not is_allowed(name, true) then
      return nil
    end
    local answer = known[name]
    if not answer then
      local ok, loader, path = pcall(searcher, name)
      if not ok or type(loader) ~= 'function' then
        loader, path = gsub(tostring(loader or ''), '^\n\t', ''), nil
      elseif bounded then
        loader = bounded.loader(name, loader)
      end
      answer = { loader, path }
      known[name] = answer
    end
    return answer[1], answer[2]
  end
end

local real_searchers = real.searchers or real.loaders
local from_c_file, from_c_package = from_c(real_searchers[3]), from_c(real_searchers[4])

-- JSON's null: a light userdata that is unique, immutable and not a table, like lua-cjson's null. It is the identity of
-- an upvalue.
local null = debug.upvalueid(globals, 1)

modules.null = null

local foreign_null -- lua-cjson's null, once seen: address 0

-- Returns whether a value is JSON's null: Alaska's own, or that of the system's lua-cjson.
function modules.is_null(value)
  if type(value) ~= 'userdata' then
    return false
  elseif rawequal(value, null) or foreign_null ~= nil and rawequal(value, foreign_null) then
    return true
  end
  local text = tostring(value)
  if text == 'userdata: (nil)' or text == 'userdata: NULL' or text == 'userdata: 0x0' then
    foreign_null = value
    return true
  end
  return false
end

local shared_values = {} -- results of Alaska's JSON files, created once: functions without state

function modules.shared(name)
  shared_values[name] = shared_values[name] or part_with_checks(name)(modules.is_null, null)
  return shared_values[name]
end

local function from_builtins(name)
  local file = builtins[name]
  if not file then
    return format("no module of Alaska's own '%s'", name)
  end
  own_chunks[file] = own_chunks[file] or part_with_checks(file)
  return function()
    return own_chunks[file](name, null, console, modules.shared, modules)
  end, ':alaska:'
end

local searchers = { from_preload, from_directory, from_path, from_c_file, from_c_package, from_builtins }

local function loader_of(name)
  local places = searchers
  local refusal = seen_by_system and not is_allowed 'lfs' and seen_by_system.refusal(name)
  if refusal and not rawget(run.preload, name) and type(from_directory(name)) ~= 'function' then
    error(refusal, 3)
  elseif not settings.sandbox then
    places = run.package.searchers or run.package.loaders
  end
  if type(places) ~= 'table' then
    error("'package.searchers' must be a table", 3)
  end
  local missing = ''
  for i = 1, #places do
    local loader, extra = places[i](name)
    if type(loader) == 'function' then
      return loader, extra
    elseif type(loader) == 'string' and loader ~= '' then
      missing = missing .. '\n\t' .. loader
    end
  end
  error(format("module '%s' not found:%s", name, missing), 3)
end

-- Returns whether a name consists of words with single dots between them. Any other name could contain a path.
local function is_plain(name)
  return #name <= LONGEST and find(name, '^[%w_-][%w_.-]*$') and not find(name, '..', 1, true) and not find(name, '%.$')
end

function modules.require(name)
  if type(name) ~= 'string' then
    error(format("bad argument #1 to 'require' (string expected, got %s)", name == nil and 'nil' or type(name)), 2)
  elseif settings.sandbox and not is_plain(name) and type(rawget(run.preload, name)) ~= 'function' then
    error("a module's name is made of letters, digits, _ and -, with single dots between them", 2)
  end
  globals()
  local loaded = run.loaded
  local value = rawget(loaded, name)
  if value then
    return value
  end
  limits.check_time() -- a chunk that only requires modules contains no time check
  local loader, extra = loader_of(name)
  value = loader(name, extra)
  if value ~= nil then
    rawset(loaded, name, value)
  elseif rawget(loaded, name) == nil then
    rawset(loaded, name, true)
  end
  return rawget(loaded, name), extra
end

local function refuse_loadlib()
  return nil, 'C libraries can be loaded by require only, from the paths of the system', 'absent'
end

local function package_of_sandbox(loaded)
  return { path = '', cpath = '', config = real.config, loaded = loaded, preload = {} }
end

local function package_of_trusted(loaded)
  local package = {
    path = settings.path,
    cpath = settings.cpath,
    config = real.config,
    loaded = loaded,
    preload = {},
    searchpath = searchpath,
    loadlib = refuse_loadlib,
    seeall = modules.seeall,
  }
  package[is_5_1 and 'loaders' or 'searchers'] = { unpack(searchers) }
  return package
end

-- Creates the package library of a run. `env` contains all other libraries.
function modules.package(env, libraries)
  local loaded = { _G = env }
  for name in next, libraries do
    loaded[name] = env[name]
  end
  local package = settings.sandbox and package_of_sandbox(loaded) or package_of_trusted(loaded)
  loaded.package = package
  run.dirty = true
  run.loaded, run.preload, run.package, run.missing_folders = loaded, package.preload, package, {}
  return package
end

return modules
