-- Questions: calls from a script to the worker. A question is passed up by a yield through all coroutines of the
-- script; the answer comes back the same way.
--
-- The yield itself carries no values. The question is in `run.question` until it is taken, where scripts can neither
-- read nor write. So a value that a script yields is never taken for a question.
local run = ...

local isyieldable, yield = coroutine.isyieldable, coroutine.yield
local pack, unpack = table.pack, table.unpack

local questions = {}

-- Passes on the question of a coroutine. Where no yield is possible, it answers the question itself, with an error.
local function pass_on()
  if isyieldable() then
    yield()
  else
    run.question = nil
    run.answer = pack(false,
      'there is no answer: the coroutine that waits for it was resumed by table.sort, string.gsub or a C module')
  end
end

questions.pass_on = pass_on

-- Asks the worker and returns its answer: true or nil and values, or false and an error text. Needs a place where a
-- yield is possible.
function questions.ask(...)
  run.question = pack(...)
  yield()
  local answer = run.answer
  run.answer = nil
  return unpack(answer, 1, answer.n)
end

-- Removes and returns the pending question, or nil.
function questions.take()
  local question = run.question
  run.question = nil
  return question
end

return questions
