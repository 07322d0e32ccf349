-- Where those parts of Lua source end that are no code: comments and strings. The source has to be one that compiles.
local find, match, byte = string.find, string.match, string.byte

local QUOTE = byte '"'

-- Returns the position after a comment or a long string that begins there, or nil if none does.
local function after_long(source, start)
  local bars, inside = match(source, '^%[(=*)%[()', start)
  if bars then
    local _, stop = find(source, ']' .. bars .. ']', inside, true)
    return (stop or #source) + 1
  end
end

local function after_comment(source, start)
  return after_long(source, start + 2) or find(source, '[\n\r]', start) or #source + 1
end

local function after_string(source, start, quote)
  local stop = quote == QUOTE and '["\\]' or "['\\]"
  local position = find(source, stop, start + 1)
  while position and byte(source, position) ~= quote do
    position = find(source, stop, position + 2)
  end
  return (position or #source) + 1
end

return { after_long = after_long, after_comment = after_comment, after_string = after_string }
