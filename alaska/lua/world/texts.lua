-- The library of strings for our own parts.
--
-- Lua 5.4's format asks strings for a __tostring, which while a run lasts may be one that its script has given them. Here
-- format puts them in as they are.
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
