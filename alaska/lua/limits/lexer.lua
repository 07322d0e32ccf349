-- Tokenizes Lua source that is known to compile, in Lua 5.4 and LuaJIT syntax.
local byte, find, gmatch, match, sub = string.byte, string.find, string.gmatch, string.match, string.sub

-- LuaJIT accepts any non-ASCII octet as a letter.
local WORD = '^[%w_\128-\255]+'
local QUOTE, APOSTROPHE, BRACKET, MINUS, POINT = byte('"\'[-.', 1, 5)
local ZERO, NINE = byte('09', 1, 2)
local LETTERS = 128 -- octets from here on

local kinds = {} -- first octet -> kind of the token, where the first octet decides
for octet = 0, 255 do
  local is_word = octet >= LETTERS or find(string.char(octet), '[%a_]')
  kinds[octet] = is_word and 'word' or octet >= ZERO and octet <= NINE and 'number' or nil
end

local signs = { [2] = {}, [3] = { ['...'] = true } } -- operators of two and three octets
for sign in gmatch('.. == ~= <= >= // << >> ::', '%S+') do
  signs[2][sign] = true
end

local lexer = {}

-- Returns the position after a long bracket that starts here, or nil if none does.
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

local function after_number(source, start)
  local exponent = find(source, '^0[xX]', start) and '^[%w_.]*[pP][+-]()' or '^[%w_.]*[eE][+-]()'
  start = match(source, exponent, start) or start
  return match(source, '^[%w_.\128-\255]*()', start)
end

local function after_sign(source, start)
  if signs[3][sub(source, start, start + 2)] then
    return start + 3
  end
  return start + (signs[2][sub(source, start, start + 1)] and 2 or 1)
end

-- Returns the next token: its kind (word, number, string or sign), its text (nil for a string), its start, and the
-- position after it. Returns nil at the end of the source.
function lexer.token(source, position)
  local start, first = position, nil
  repeat
    start = match(source, '^%s*()', start)
    first = byte(source, start)
    local is_comment = first == MINUS and byte(source, start + 1) == MINUS
    start = is_comment and after_comment(source, start) or start
  until not is_comment
  if not first then
    return nil
  end
  local kind, after = kinds[first], nil
  if kind == 'word' then
    local word = match(source, WORD, start)
    return kind, word, start, start + #word
  elseif first == QUOTE or first == APOSTROPHE then
    return 'string', nil, start, after_string(source, start, first)
  elseif first == BRACKET then
    after = after_long(source, start)
    if after then
      return 'string', nil, start, after
    end
  elseif kind == 'number' or first == POINT and kinds[byte(source, start + 1) or 0] == 'number' then
    after = after_number(source, start)
    return 'number', sub(source, start, after - 1), start, after
  end
  after = after_sign(source, start)
  return 'sign', sub(source, start, after - 1), start, after
end

return lexer
