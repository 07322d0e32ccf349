-- Alaska's own pl.pretty, used where Penlight is not installed: write, dump, read and load, with the same output as
-- Penlight 1.13.
local _, null, console, _, modules = ...

local error, get_metatable, next, pcall, rawget, rawset, tostring, type =
  error, debug.getmetatable, next, pcall, rawget, rawset, tostring, type
local load = modules.load
local find, format, gsub, match, rep, sub =
  string.find, string.format, string.gsub, string.match, string.rep, string.sub
local concat, floor, huge, sort = table.concat, math.floor, math.huge, table.sort
local print, joined, open = console.print, console.joined, modules.open

local keywords = {}
for word in string.gmatch('and break do else elseif end false for function goto if in local nil not or repeat return '
  .. 'then true until while', '%a+') do
  keywords[word] = true
end

-- Writing

local function number_text(value)
  if value ~= value then
    return 'NaN'
  elseif value == huge or value == -huge then
    return value > 0 and 'Inf' or '-Inf'
  elseif floor(value) == value and value >= -2 ^ 63 and value < 2 ^ 63 then
    return format('%d', value)
  end
  return format('%.14g', value)
end

-- Strings with line breaks or brackets are written in long brackets, which keep them readable; all others are quoted.
local function quoted(text)
  local has_lines = find(text, '\n', 1, true) and not find(text, '\r', 1, true)
  local has_brackets = find(text, '%[=*%[') or find(text, '%]=*%]') or sub(text, -1) == ']'
  if not has_lines and (not has_brackets or find(text, '[\n\r]')) then
    return format('%q', text)
  end
  local level = sub(text, -1) == ']' and 1 or 0
  while find(text, ']' .. rep('=', level) .. ']', 1, true) or find(text, '[' .. rep('=', level) .. '[', 1, true) do
    level = level + 1
  end
  local bars = rep('=', level)
  -- Lua skips a line break directly after the opening bracket, so such a string gets an extra one.
  return '[' .. bars .. '[' .. (sub(text, 1, 1) == '\n' and '\n' or '') .. text .. ']' .. bars .. ']'
end

-- How tostring shows lua-cjson's null, which is a null pointer.
local NULL = jit and 'userdata: NULL' or 'userdata: (nil)'

local function name_of(value)
  return value == null and NULL or joined('', value)
end

local function key_text(key, is_clever)
  if type(key) == 'number' then
    return '[' .. number_text(key) .. ']'
  elseif type(key) ~= 'string' then
    return '["' .. name_of(key) .. '"]'
  elseif is_clever and match(key, '^[%a_][%w_]*$') and not keywords[key] then
    return key
  end
  local text = quoted(key)
  return sub(text, 1, 1) == '[' and '[ ' .. text .. ' ]' or '[' .. text .. ']'
end

-- Sorts keys by type name, then by text. Each text is created once.
local function sort_keys(keys)
  local texts = {}
  for i = 1, #keys do
    texts[keys[i]] = name_of(keys[i])
  end
  sort(keys, function(one, other)
    local kind, other_kind = type(one), type(other)
    if kind ~= other_kind then
      return kind < other_kind
    end
    return texts[one] < texts[other]
  end)
end

-- Returns the keys of a table that are not part of its list. Numbers come last, in the table's own order.
local function other_keys(value, list_length)
  local keys, numbers = {}, {}
  for key in next, value do
    if type(key) ~= 'number' then
      keys[#keys + 1] = key
    elseif floor(key) ~= key or key < 1 or key > list_length then
      numbers[#numbers + 1] = key
    end
  end
  sort_keys(keys)
  for i = 1, #numbers do
    keys[#keys + 1] = numbers[i]
  end
  return keys
end

local function index(value, position)
  return value[position]
end

-- Returns an element, using __index. An error of __index is raised without the position of this file.
local function item_at(value, position)
  local is_good, item = pcall(index, value, position)
  if is_good then
    return item
  end
  error(type(item) == 'string' and gsub(item, '^%[alaska [^%]]*%]:%d+: ', '') or item, 0)
end

local write_value

local function write_table(value, indent, layout, path)
  if path[value] then
    return '<cycle>'
  end
  path[value] = true
  local inner = indent .. layout.step
  local items, list_length = {}, 0
  if layout.is_clever then
    local item = item_at(value, 1)
    while item ~= nil do
      list_length = list_length + 1
      items[list_length] = inner .. write_value(item, inner, layout, path)
      item = item_at(value, list_length + 1)
    end
  end
  for _, key in ipairs(other_keys(value, list_length)) do
    items[#items + 1] = inner .. key_text(key, layout.is_clever) .. layout.equals
      .. write_value(rawget(value, key), inner, layout, path)
  end
  path[value] = nil
  local last = #items > 0 and layout.line or ''
  return '{' .. layout.line .. concat(items, ',' .. layout.line) .. last .. indent .. '}'
end

function write_value(value, indent, layout, path)
  local kind = type(value)
  if kind == 'table' then
    return write_table(value, indent, layout, path)
  elseif kind == 'string' then
    return quoted(value)
  elseif kind == 'number' then
    return number_text(value)
  elseif kind == 'boolean' then
    return tostring(value)
  end
  return quoted(name_of(value))
end

local pretty = {}

-- Returns a value as Lua source, with `space` as indentation per level; an empty `space` writes everything on one line.
-- For a value that is neither a table nor a string, the second result says so.
function pretty.write(value, space, not_clever)
  space = space or '  '
  if type(space) ~= 'string' then
    error(format("bad argument #2 to 'write' (string expected, got %s)", type(space)), 2)
  end
  local layout = { step = space, line = space == '' and '' or '\n', equals = space == '' and '=' or ' = ',
    is_clever = not not_clever }
  local text = write_value(value, '', layout, {})
  if type(value) == 'table' or type(value) == 'string' then
    return text
  end
  return type(value) == 'number' and text or name_of(value), 'not a table'
end

-- Prints the result of `write`, or writes it to a file.
function pretty.dump(value, filename)
  if not filename then
    print(pretty.write(value))
    return true
  elseif type(filename) ~= 'string' then
    error(format("bad argument #2 to 'dump' (string expected, got %s)", type(filename)), 2)
  end
  local file, message = open(filename, 'w')
  if not file then
    return nil, message
  end
  file:write((pretty.write(value)))
  file:close()
  return true
end

-- Reading

-- Returns Lua source with its comments and the contents of its strings replaced by spaces.
local function bare(text)
  local out, position = {}, 1
  while true do
    local start = find(text, '[-"\'%[]', position)
    if not start then
      out[#out + 1] = sub(text, position)
      return concat(out, ' ')
    end
    out[#out + 1] = sub(text, position, start - 1)
    local comment = match(text, '^%-%-()', start)
    local bars, inside = match(text, '^%[(=*)%[()', comment or start)
    local quote = match(text, '^["\']', start)
    if bars then
      local _, stop = find(text, ']' .. bars .. ']', inside, true)
      position = (stop or #text) + 1
    elseif comment then
      position = find(text, '\n', comment, true) or #text + 1
    elseif quote then
      position = start + 1
      while match(text, '^[^' .. quote .. '\\\n]', position) or match(text, '^\\', position) do
        position = position + (match(text, '^\\', position) and 2 or 1)
      end
      position = position + 1
    else
      out[#out + 1] = sub(text, start, start)
      position = start + 1
    end
  end
end

-- Calls a chunk while strings have no methods, so that data cannot call them, e.g. `rep` for huge strings.
local function call_without_string_methods(chunk)
  local metatable = get_metatable ''
  local methods = rawget(metatable, '__index')
  rawset(metatable, '__index', nil)
  local ok, value = pcall(chunk)
  rawset(metatable, '__index', methods)
  return ok, value
end

local function check_text(text)
  if type(text) ~= 'string' then
    error(format("argument 1 expected a 'string', got a '%s'", type(text)), 3)
  end
end

-- Evaluates a Lua table constructor. Returns the table, or nil and the reason. The constructor has no access to
-- functions or globals.
function pretty.read(text)
  check_text(text)
  if not find(bare(text), '^%s*{') then
    return nil, 'not a Lua table'
  elseif find(bare(text), '%f[%w_]function%f[^%w_]') then
    return nil, 'cannot have functions in table definition'
  end
  local chunk, message = load('return ' .. text, 'tbl', 't', {})
  if not chunk then
    return nil, message
  end
  local ok, value = call_without_string_methods(chunk)
  if not ok then
    return nil, value
  end
  return value
end

-- Runs Lua source with `env` as its globals. Returns `env`, or nil and the reason. With `is_paranoid`, the source must
-- not contain loops or function definitions.
function pretty.load(text, env, is_paranoid)
  check_text(text)
  env = env or {}
  if type(env) ~= 'table' then
    error(format("bad argument #2 to 'load' (table expected, got %s)", type(env)), 2)
  end
  if is_paranoid then
    for word in string.gmatch(bare(text), '[%a_][%w_]*') do
      if word == 'for' or word == 'while' or word == 'repeat' or word == 'goto' or word == 'function' then
        return nil, 'looping not allowed'
      end
    end
  end
  local chunk, message = load(text, 'tbl', 't', env)
  if not chunk then
    return nil, message
  end
  local ok, failure
  if is_paranoid then
    ok, failure = call_without_string_methods(chunk)
  else
    ok, failure = pcall(chunk)
  end
  if not ok then
    return nil, failure
  end
  return env
end

return pretty
