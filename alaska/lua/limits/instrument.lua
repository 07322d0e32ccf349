-- Inserts time checks into Lua source at every place where a script could loop without end: at the start of each chunk,
-- function and loop, and before each goto. If a script catches the error that a check raises, it runs into the next
-- check. So only a C function that does not return can keep a script running.
--
-- Each check counts the work done until the next check, because one operator may process a string of many megabytes,
-- and one call may be a slow C function. Lua 5.4 compares strings piece by piece, separated at zero octets, so that a
-- comparison may be as slow as a call. A loop with a large body therefore reads the clock after fewer iterations, and
-- long sequences of statements or operands contain additional checks.
--
-- A hook of the debug library cannot replace this: hooks are per coroutine, code compiled by LuaJIT never calls them,
-- and they are disabled while an error handler runs.
local token = (...).token

local concat, gmatch, sub = table.concat, string.gmatch, string.sub
local ipairs, setmetatable = ipairs, setmetatable

local CALL, JOINING, COMPARISON, OPERATION = 16, 16, 16, 1 -- weights; that of an operation is for all others
local SAME, INDEXING = 16, 8 -- what these count for the distance between two checks: both may compare long strings
local MUCH, TOO_MUCH = 128, 128 -- weights that require another check: before a statement, within an expression
local MAX = 8192 -- maximum weight of one check
local TOKENS = 1000 -- tokens between two time checks of the compilation itself
local MAX_CHECKS = 100000 -- in one text: Lua needs memory to compile them, which no limit counts

-- In Lua 5.4 `goto` is always a keyword. In LuaJIT it is a keyword only at the start of a statement and before a name.
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
local values = set 'nil true false end' -- keywords that can end an expression
local beginnings = set 'local if while for repeat do return break' -- keywords that start a statement
local before_operands = set 'and or not'
local before_expressions = set 'and or not return in if elseif while until for'
local operators = set '+ - * / % ^ # & ~ | << >> // == ~= <= >= < > ..'
local comparisons = set '< > <= >='
local equalities = set '== ~='
local brackets = { [')'] = '(', [']'] = '[', ['}'] = '{' }

-- The state of processing one source. Its methods handle the tokens.
local Source = {}
Source.__index = Source

-- A span is the code between one check and the next one that is certain to run. The first of the two counts the span's
-- weight.
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

-- Inserts the check of a span. Its text is filled in at the end, when the weight is known.
function Source:check(at, span)
  span.slot = self:insert(at, '')
  self.spans[#self.spans + 1] = span
  self.span = span
end

-- Counts an operation. `distance` is its weight for the distance between two checks, if that differs.
function Source:count(weight, distance)
  local span = self.span
  span.weight, span.since = span.weight + weight, span.since + (distance or weight)
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

-- The condition after `until` belongs to the loop. It ends where the next statement starts or the enclosing block ends.
function Source:end_of_statement()
  while self:kind() == 'until' do
    self:close()
  end
end

-- Handles the start of a statement.
function Source:begin(start)
  self:end_of_statement()
  if self.span.since >= MUCH then
    self:check(start, new_span())
  end
end

-- Handles the start of an operand or list item. `after` is the position after the operand; it is nil if the operand
-- starts with a parenthesis, which needs no further one.
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

-- Skips the next token and returns its text.
function Source:skip()
  local _, text, _, after = token(self.source, self.position)
  self.position = after
  return text
end

-- Returns the text and kind of the next token without consuming it, or nil at the end.
function Source:peek()
  local kind, text = token(self.source, self.position)
  return text, kind
end

-- Words

local keyword = {}

-- A function's parameter list contains no expression. The body starts with a check.
keyword['function'] = function(self)
  self:count(OPERATION)
  self:open 'function'
  repeat until self:skip() == ')'
  self.in_function = { weight = 0, labels = {} }
  self:check(self.position, new_span())
end

-- A list of local variable names, with attributes, contains no expression either.
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

-- A backward goto can repeat the whole function, so its check counts the weight of the function so far.
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

-- Returns whether `goto` is the keyword. It is a name where an expression is expected, and as a field name.
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

local after_sign = set '= , ( { [ . : ::' -- a word after these does not start a statement

function Source:sign(sign, start, after)
  local follows, is_item = self.ends_value, self.is_operand
  self.is_operand, self.ends_value = false, false
  if operators[sign] then
    local text, kind = self:peek()
    if sign == '..' then
      self:count(JOINING)
    elseif comparisons[sign] and kind ~= 'number' then
      self:count(COMPARISON)
    elseif equalities[sign] then
      self:count(OPERATION, (kind == 'sign' or kind == 'word' and not values[text]) and SAME or OPERATION)
    elseif sign ~= '-' or follows or kind ~= 'number' then
      self:count(OPERATION)
    end
    self.is_operand = true
  elseif sign == '(' or sign == '{' or sign == '[' then
    if follows then
      if sign == '[' then
        self:count(OPERATION, INDEXING)
      else
        self:count(CALL)
      end
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

-- Returns the source with checks inserted. All code stays on its line. The source must compile.
--
-- `check(weight)` returns the text of a check. `tick` is the name of a function that checks the time and returns its
-- argument. `check_time` is called regularly, because a long source takes time to process. Returns nil and an error
-- message if there would be too many checks.
local function with_checks(source, check, tick, check_time)
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
      check_time()
      left = TOKENS
      if #state.spans > MAX_CHECKS then
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
    out[span.slot] = check(span.weight < MAX and span.weight + 1 or MAX)
  end
  return concat(out)
end

return with_checks
