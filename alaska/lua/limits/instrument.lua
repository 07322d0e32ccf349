-- Puts checks of the time into Lua source, wherever a script can go round for ever: at the start of a chunk, of each
-- function and of each loop, and before each goto. Whatever catches what a check raises runs into the next one, so
-- nothing but a C function that does not return keeps a script going.
--
-- A check counts what is done until the next one: an operator may have to do with a text of many megabytes, and a call
-- may be one of C; to compare texts takes Lua 5.4 as long for one zero octet as for hundreds of others. So what stands in
-- a loop makes the time be looked at after fewer rounds, and where much stands in a row, there are checks between.
--
-- A hook of the debug library cannot do that: a coroutine has none, LuaJIT's compiled code never calls it, and an
-- error handler that loops has it turned off.
local token = (...).token

local concat, gmatch, sub = table.concat, string.gmatch, string.sub
local ipairs, setmetatable = ipairs, setmetatable

local CALL, JOINING, COMPARISON, OPERATION = 16, 16, 16, 1 -- what is counted
local MUCH, TOO_MUCH = 128, 128 -- from where on there is another check before a statement, and within an expression
local MOST = 8192 -- that one check counts
local TOKENS = 1000 -- between two looks at the time of compiling itself
local MOST_CHECKS = 100000 -- of one text: to compile them takes memory that nothing limits

-- In Lua 5.4 `goto` is a keyword wherever it stands. LuaJIT takes it for a name unless a statement begins with it and a
-- name follows.
local goto_is_keyword = not load 'local goto = 1'

local function set(words)
  local members = {}
  for word in gmatch(words, '%S+') do
    members[word] = true
  end
  return members
end

local keywords = set 'and break do else elseif end false for function if in local nil not or repeat return then true until while'
keywords['goto'] = goto_is_keyword or nil
local values = set 'nil true false end' -- keywords that an expression may end with
local beginnings = set 'local if while for repeat do return break' -- of a statement
local before_operands = set 'and or not'
local before_expressions = set 'and or not return in if elseif while until for'
local operators = set '+ - * / % ^ # & ~ | << >> // == ~= <= >= < > ..'
local comparisons = set '< > <= >='
local brackets = { [')'] = '(', [']'] = '[', ['}'] = '{' }

-- The state of one source, whose methods add what stands in it.
local Source = {}
Source.__index = Source

-- A span is what is done between one check and the next that surely follows; it is counted by the former.
local function new_span()
  return { weight = 0, since = 0 }
end

function Source:insert(at, text)
  local out = self.out
  out[#out + 1] = sub(self.source, self.kept, at - 1)
  out[#out + 1] = text
  self.kept = at
  return #out
end

-- Puts the check of a span there, whose text is known at the end.
function Source:check(at, span)
  span.slot = self:insert(at, '')
  self.spans[#self.spans + 1] = span
  self.span = span
end

function Source:count(weight)
  local span = self.span
  span.weight, span.since = span.weight + weight, span.since + weight
  self.in_function.weight = self.in_function.weight + weight
end

-- Blocks and brackets

function Source:open(kind, span)
  self.depth = self.depth + 1
  self.blocks[self.depth] = { kind = kind, outer = self.span, function_outside = self.in_function }
  self.span = span or self.span
end

function Source:close()
  local block = self.blocks[self.depth]
  self.blocks[self.depth] = nil
  self.depth = self.depth - 1
  self.span, self.in_function = block.outer, block.function_outside
end

function Source:kind()
  local block = self.blocks[self.depth]
  return block and block.kind
end

-- The condition behind `until` belongs to the loop, and ends where another statement begins, or the block around it ends.
function Source:end_of_statement()
  while self:kind() == 'until' do
    self:close()
  end
end

-- Called where a statement begins.
function Source:begin(start)
  self:end_of_statement()
  if self.span.since >= MUCH then
    self:check(start, new_span())
  end
end

-- Called where an operand or an item begins, with the position after it, or after the parenthesis that it begins with.
function Source:operand(start, after)
  if self.span.since < TOO_MUCH then
    return
  end
  self.span.since = 0
  self:insert(start, self.tick)
  if after then
    self:insert(start, '(')
    self:insert(after, ')')
  end
end

-- Moves on to the next token, which is not looked at otherwise.
function Source:skip()
  local _, text, _, after = token(self.source, self.position)
  self.position = after
  return text
end

-- The text of the token after the next, if there is one.
function Source:peek()
  local kind, text = token(self.source, self.position)
  return text, kind
end

-- Words

local keyword = {}

-- What a function's head has is no expression; its body begins with a check.
keyword['function'] = function(self)
  self:count(OPERATION)
  self:open 'function'
  repeat until self:skip() == ')'
  self.in_function = { weight = 0, labels = {} }
  self:check(self.position, new_span())
end

-- Nor have the names of variables, with their attributes.
keyword['local'] = function(self)
  if self:peek() == 'function' then
    return
  end
  repeat
    self:skip()
    if self:peek() == '<' then
      self:skip()
      self:skip()
      self:skip()
    end
    local goes_on = self:peek() == ','
    if goes_on then
      self:skip()
    end
  until not goes_on
  self.ends_value = true
end

keyword['while'] = function(self)
  self:open('while', new_span())
end

keyword['for'] = function(self)
  self:open 'for'
end

keyword['do'] = function(self)
  local block = self.blocks[self.depth]
  if block and block.kind == 'while' then
    block.kind = 'loop'
    self:check(self.position, self.span)
  elseif block and block.kind == 'for' then
    block.kind = 'loop'
    self:check(self.position, new_span())
  else
    self:open 'do'
  end
end

keyword['repeat'] = function(self)
  self:open 'repeat'
  self:check(self.position, new_span())
end

keyword['until'] = function(self)
  self:end_of_statement()
  self.blocks[self.depth].kind = 'until'
end

keyword['if'] = function(self)
  self:open 'if'
end

keyword['else'] = function(self)
  self:end_of_statement()
  self.span = self.blocks[self.depth].outer
end

keyword['elseif'] = keyword['else']

keyword['end'] = function(self)
  self:end_of_statement()
  self:close()
end

-- Where it may lead back, all of the function may be done again.
local function go_to(self, start)
  local name = self:skip()
  local is_back = self.in_function.labels[name]
  self.spans[#self.spans + 1] = { weight = is_back and self.in_function.weight or 0, slot = self:insert(start, '') }
  self.ends_value = true
end

function Source:word(word, start, after)
  local follows, is_item = self.ends_value, self.is_operand
  local is_statement = beginnings[word] and not (word == 'do' and (self:kind() == 'while' or self:kind() == 'for'))
  if is_statement or follows and (word == 'function' or word == 'goto' or not keywords[word]) then
    self:begin(start)
  end
  self.is_operand, self.ends_value = before_operands[word], values[word]
  if word == 'goto' and self:is_goto(follows) then
    go_to(self, start)
  elseif keywords[word] then
    if keyword[word] then
      keyword[word](self)
    end
  else
    if is_item and not follows and self:peek() ~= '=' then
      self:operand(start, after)
    end
    self.ends_value = true
  end
end

-- Tells whether `goto` is no name; it is none where an expression is awaited, or the name of a field.
function Source:is_goto(follows)
  if goto_is_keyword then
    return true
  elseif self.awaits_value and not follows then
    return false
  end
  local text, kind = self:peek()
  return kind == 'word' and not keywords[text]
end

-- Signs

local after_sign = set '= , ( { [ . : ::' -- a word behind these begins no statement

function Source:sign(sign, start, after)
  local follows, is_item = self.ends_value, self.is_operand
  self.is_operand, self.ends_value = false, false
  if operators[sign] then
    local _, kind = self:peek()
    if sign == '..' then
      self:count(JOINING)
    elseif comparisons[sign] and kind ~= 'number' then
      self:count(COMPARISON)
    elseif sign ~= '-' or follows or kind ~= 'number' then
      self:count(OPERATION)
    end
    self.is_operand = true
  elseif sign == '(' or sign == '{' or sign == '[' then
    if follows then
      self:count(sign == '[' and OPERATION or CALL)
    elseif sign == '(' and is_item then
      self:operand(start)
    end
    self:open(sign)
    self.is_operand = sign ~= '['
  elseif brackets[sign] then
    self:close()
    self.ends_value = true
  elseif sign == ',' or sign == ';' then
    local kind = self:kind()
    self.is_operand = kind == '{' or kind == '('
    if not self.is_operand then
      self:end_of_statement()
    end
  elseif sign == '=' then
    self.is_operand = self:kind() == '{'
  elseif sign == '.' or sign == ':' then
    self:count(OPERATION)
  elseif sign == '...' then
    self.ends_value = true
  elseif sign == '::' then
    self:end_of_statement()
    self.in_function.labels[self:skip()] = true
    self:skip()
  end
  self.awaits_value = operators[sign] or after_sign[sign]
  if sign == '::' then
    self.awaits_value, self.ends_value = false, true
  end
end

function Source:text_or_number(kind)
  if kind == 'string' and self.ends_value then
    self:count(CALL)
  end
  self.is_operand, self.ends_value = false, true
end

-- Returns source with checks in all those places, each on the line where it was; the source has to be one that compiles
-- as it is. `check` makes the text of one that counts so much, `tick` is the name of a function that checks and returns
-- its argument. `patience` is called now and then, as a long source takes its time. If there would be too many checks,
-- returns nil and that.
local function with_checks(source, check, tick, patience)
  local state = setmetatable({ source = source, position = 1, kept = 1, out = {}, spans = {}, blocks = {}, depth = 0,
    tick = tick, in_function = { weight = 0, labels = {} } }, Source)
  state:check(1, new_span())
  local left = TOKENS
  while true do
    local kind, text, start, after = token(source, state.position)
    if not kind then
      break
    end
    left = left - 1
    if left == 0 then
      patience()
      left = TOKENS
      if #state.spans > MOST_CHECKS then
        return nil, 'too many loops, functions and gotos in one text'
      end
    end
    state.position = after
    if kind == 'word' then
      state:word(text, start, after)
      state.awaits_value = before_expressions[text]
    elseif kind == 'sign' then
      state:sign(text, start, after)
    else
      state:text_or_number(kind)
    end
  end
  local out = state.out
  out[#out + 1] = sub(source, state.kept)
  for _, span in ipairs(state.spans) do
    out[span.slot] = check(span.weight < MOST and span.weight + 1 or MOST)
  end
  return concat(out)
end

return with_checks
