-- The string library for Alaska's own Lua files.
--
-- In Lua 5.4, string.format calls the __tostring of strings, which a script may have set during its run. This version
-- inserts strings unchanged.
local string = ...

if jit then
  return string
end
local find, gmatch, raw, concat, next, type = string.find, string.gmatch, string.format, table.concat, next, type

local texts = {}
for name, value in next, string do
  texts[name] = value
end

function texts.format(template, ...)
  if not find(template, '%s', 1, true) then
    return raw(template, ...)
  end
  local given, pieces, at = { ... }, {}, 0
  for text, directive in gmatch(template, '([^%%]*)(%%?[%d.]*%a?)') do
    pieces[#pieces + 1] = text
    if directive ~= '' then
      at = at + 1
      local value = given[at]
      pieces[#pieces + 1] = directive == '%s' and type(value) == 'string' and value or raw(directive, value)
    end
  end
  return concat(pieces)
end

return texts
