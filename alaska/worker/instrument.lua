-- Puts a check of the time into Lua source, wherever a script can go round for ever: at the start of a chunk, of each
-- function and of each loop, and before each goto. Whatever catches what a check raises runs into the next one, so
-- nothing but a C function that does not return keeps a script going.
--
-- A hook of the debug library cannot do that: a coroutine has none, LuaJIT's compiled code never calls it, and an
-- error handler that loops has it turned off.
local lexer = ...

local find, match, sub, byte = string.find, string.match, string.sub, string.byte
local concat, format = table.concat, string.format
local after_long, after_comment, after_string = lexer.after_long, lexer.after_comment, lexer.after_string

-- What else may begin a name than a letter: to LuaJIT, any octet of UTF-8.
local TOKEN = '[%w_"\'%[%-\128-\255]'
local TOKEN_OR_PARENTHESIS = '[%w_"\'%[%-\128-\255()]'
local WORD = '^[%w_\128-\255]+'
local NAME = '^[%a_\128-\255]'

local QUOTE, APOSTROPHE, BRACKET, MINUS, OPEN, CLOSE = byte('"\'[-()', 1, 6)
local ZERO, NINE = byte('09', 1, 2)

-- In Lua 5.4 `goto` is a keyword wherever it stands.
local is_keyword = not load 'local goto = 1'

-- What comes before an expression. LuaJIT takes `goto` for a name there, and anywhere if no name follows.
local before_expression = {}
for token in string.gmatch('and or not return in if elseif while until local function for = + - * / % ^ # < > ( { [ , .',
  '%S+') do
  before_expression[token] = true
end
local keywords = { ['goto'] = true }
for word in string.gmatch('and break do else elseif end false for function if in local nil not or repeat return then '
  .. 'true until while', '%a+') do
  keywords[word] = true
end

local function after_number(source, start)
  local exponent = find(source, '^0[xX]', start) and '^[%w_.]*[pP][+-]()' or '^[%w_.]*[eE][+-]()'
  start = match(source, exponent, start) or start
  return match(source, '^[%w_.\128-\255]*()', start)
end

local function follows_name(source, position)
  position = match(source, '^%s*()', position)
  while find(source, '^%-%-', position) do
    position = match(source, '^%s*()', after_comment(source, position))
  end
  local word = find(source, NAME, position) and match(source, WORD, position)
  return word and not keywords[word]
end

-- Returns the last token of what lies between two others, or nil if nothing does; three points are a value.
local function last_token(source, start, stop)
  local between = sub(source, start, stop)
  return find(between, '%.%.%.%s*$') and '...' or match(between, '(%S)%s*$')
end

-- Returns source with `check` in all those places, each on the line where it was; the source has to be one that
-- compiles as it is. `patience` is called now and then, as a long source takes its time.
local function with_checks(source, check, patience)
  local out, kept, position, previous = {}, 1, 1, nil
  local awaited -- the parenthesis that is next in the head of a function
  local tokens = 0

  local function insert(at, text)
    out[#out + 1] = sub(source, kept, at - 1)
    out[#out + 1] = text
    kept = at
  end

  while true do
    local start = find(source, awaited and TOKEN_OR_PARENTHESIS or TOKEN, position)
    if not start then
      out[#out + 1] = sub(source, kept)
      return concat(out)
    end
    tokens = tokens + 1
    if tokens % 1000 == 0 then
      patience()
    end
    local first, after = byte(source, start), start + 1
    if first == MINUS and byte(source, after) == MINUS then
      previous, after = last_token(source, position, start - 1) or previous, after_comment(source, start)
    elseif first == QUOTE or first == APOSTROPHE then
      previous, after = 'value', after_string(source, start, first)
    elseif first == BRACKET then
      after = after_long(source, start) or after
      previous = after > start + 1 and 'value' or '['
    elseif first == MINUS then
      previous = '-'
    elseif first == OPEN or first == CLOSE then
      previous = first == OPEN and '(' or ')'
      if first == awaited then
        awaited = first == OPEN and CLOSE or nil
        if not awaited then
          insert(after, check)
        end
      end
    elseif first >= ZERO and first <= NINE then
      previous, after = 'value', after_number(source, start)
    else
      local word = match(source, WORD, start)
      after = start + #word
      if word == 'do' or word == 'repeat' then
        insert(after, ' ' .. check)
      elseif word == 'function' then
        awaited = OPEN
      elseif word == 'goto' then
        local before = last_token(source, position, start - 1) or previous
        if is_keyword or not before_expression[before] and follows_name(source, after) then
          insert(start, check)
        end
      end
      previous = word
    end
    position = after
  end
end

return with_checks
