-- The globals of a run: fresh copies of Lua's own.
--
-- Copying them all costs more than a small script does. So a script gets those that its text names, or all of them if
-- it names anything by which globals can be reached otherwise. No script can tell the difference.
local settings, globals, modules, api, lexer = ...

local base, libraries, string_metatable = globals.base, globals.libraries, globals.string_metatable
local plain_table = globals.plain_table
local match = string.match
local format, gmatch = string.format, string.gmatch
local concat, sort, load = table.concat, table.sort, load
local token = lexer.token

-- Whatever a script may call to get at globals by other means than their names in its text.
local ways_to_all = {}
for word in gmatch('_G _ENV load loadstring loadfile dofile require module package debug getmetatable setmetatable '
  .. 'getfenv setfenv', '%S+') do
  ways_to_all[word] = true
end

local function is_known(name)
  return base[name] ~= nil or libraries[name] ~= nil or name == 'alaskaContext' or name == 'alaska'
    or name == 'arg' and not settings.sandbox
end

-- Iterates over the words of source; those of comments and strings name nothing.
local function words_of(source)
  local position = match(source, '^\239\187\191()') or 1
  position = match(source, '^#[^\n\r]*()', position) or position -- behind a first line for the shell
  return function()
    local kind, word, _
    repeat
      kind, word, _, position = token(source, position)
    until not kind or kind == 'word'
    return word
  end
end

-- Returns the names that a script may use, in order, whether that is all of them, and whether `alaska` is one.
local function names_in(source)
  local names, named, is_all = {}, {}, false
  for word in words_of(source) do
    is_all = is_all or ways_to_all[word]
    if is_known(word) and not named[word] then
      named[word] = true
      names[#names + 1] = word
    end
  end
  if is_all then
    names = { 'alaska', 'alaskaContext', not settings.sandbox and 'arg' or nil }
    for _, given in ipairs { base, libraries } do
      for name in next, given do
        names[#names + 1] = name
      end
    end
  end
  sort(names)
  return names, is_all, is_all or named.alaska
end

-- Writes a table constructor's fields: one that names them makes a table in a third of the time that a loop takes.
local function fields_of(variable, fields)
  local items = {}
  for name in next, fields do
    items[#items + 1] = format('%s = %s.%s', name, variable, name)
  end
  sort(items)
  return concat(items, ', ')
end

local function field(name, locals, has_metatables)
  if name == 'alaskaContext' then
    return 'alaskaContext = context'
  elseif name == 'arg' then
    return 'arg = { [0] = path }'
  elseif name == 'alaska' then
    return 'alaska = make_api()'
  elseif base[name] ~= nil then
    return format('%s = base.%s', name, name)
  end
  local is_plain = name == 'table' and not has_metatables
  locals[#locals + 1] = format(is_plain and 'local %s = plain_table\n' or 'local %s = libraries.%s\n', name, name)
  return format('%s = { %s }', name, fields_of(name, libraries[name]))
end

local function make_maker(names, is_all)
  local locals, items, has_string, has_math, has_metatables = {}, {}, false, false, is_all
  for _, name in ipairs(names) do
    has_metatables = has_metatables or name == 'setmetatable'
  end
  for i, name in ipairs(names) do
    has_string, has_math = has_string or name == 'string', has_math or name == 'math'
    items[i] = field(name, locals, has_metatables)
  end
  local source = 'local base, libraries, string_metatable, make_package, make_api, seed, plain_table = ...\n'
    .. 'local methods = libraries.string\n' .. concat(locals)
    .. 'return function(context, path)\n' .. (has_math and '  seed()\n' or '')
    .. '  local env = { ' .. concat(items, ', ') .. ' }\n'
    .. '  string_metatable.__index = ' .. (has_string and 'env.string\n' or 'methods\n')
    .. (is_all and '  env._G = env\n  env.package = make_package(env, libraries)\n' or '') .. '  return env\nend'
  return load(source, '=[alaska maker]', 't', {})(base, libraries, string_metatable, modules.package, api.make,
    globals.seed, plain_table)
end

local makers = setmetatable({}, { __mode = 'v' })
local environment = {}

-- Returns the function that makes the globals for a script, given its source, and whether it needs to know the request.
-- The function takes the request's context and the script's path.
function environment.maker(source)
  local names, is_all, has_api = names_in(source)
  local key = is_all and 'all' or concat(names, ' ')
  local maker = makers[key] or make_maker(names, is_all)
  makers[key] = maker
  return maker, has_api and true or false
end

return environment
