-- Creates the globals of a run: fresh copies of Lua's own.
--
-- Copying all of them takes longer than a small script runs. So a script gets the globals whose names occur in its
-- source, or all of them if its source contains a name through which others can be reached. A script cannot detect the
-- difference.
local settings, globals, modules, api, lexer = ...

local base, libraries, string_metatable = globals.base, globals.libraries, globals.string_metatable
local plain_table = globals.plain_table
local match = string.match
local format, gmatch = string.format, string.gmatch
local concat, sort, load = table.concat, table.sort, load
local token = lexer.token

-- Names through which a script can reach globals that its source does not name.
local dynamic_access = {}
for word in gmatch('_G _ENV load loadstring loadfile dofile require module package debug getmetatable setmetatable '
  .. 'getfenv setfenv', '%S+') do
  dynamic_access[word] = true
end

local function is_known(name)
  return base[name] ~= nil or libraries[name] ~= nil or name == 'alaskaContext' or name == 'alaska'
    or name == 'arg' and not settings.sandbox
end

-- Iterates over the words of the source, except those in comments and strings.
local function words_of(source)
  local position = match(source, '^\239\187\191()') or 1
  position = match(source, '^#[^\n\r]*()', position) or position -- after a "#!" line
  return function()
    local kind, word, _
    repeat
      kind, word, _, position = token(source, position)
    until not kind or kind == 'word'
    return word
  end
end

-- Returns the sorted names that a script may use, whether these are all globals, and whether `alaska` is one of them.
local function names_in(source)
  local names, named, is_all = {}, {}, false
  for word in words_of(source) do
    is_all = is_all or dynamic_access[word]
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

-- Returns the fields of a table constructor as source. A constructor with named fields takes a third of the time of a
-- loop.
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

-- Returns the function that creates the globals for a script with this source, and whether the script uses `alaska`.
-- The function takes the request's context and the script's path.
function environment.maker(source)
  local names, is_all, has_api = names_in(source)
  local key = is_all and 'all' or concat(names, ' ')
  local maker = makers[key] or make_maker(names, is_all)
  makers[key] = maker
  return maker, has_api and true or false
end

return environment
