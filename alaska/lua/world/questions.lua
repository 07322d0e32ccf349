-- What a script wants of the worker goes up to it by a yield, through all coroutines of the script, and so does the answer.
--
-- A yield that carries a question carries nothing else: the question is in `run.question` until it is taken, and there
-- no script can put or read one. Whatever a script yields by itself is no question.
local run = ...

local isyieldable, yield = coroutine.isyieldable, coroutine.yield
local pack, unpack = table.pack, table.unpack

local questions = {}

-- Hands on a question that a coroutine has yielded, or answers it where that cannot be: true or nil and values, or false
-- and why there is none.
local function hand_on()
  if isyieldable() then
    yield()
  else
    run.question = nil
    run.answer = pack(false,
      'there is no answer: the coroutine that waits for it was resumed by table.sort, string.gsub or a C module')
  end
end

questions.hand_on = hand_on

-- Asks the worker and returns its answer; to be called only where a yield is possible.
function questions.ask(...)
  run.question = pack(...)
  yield()
  local answer = run.answer
  run.answer = nil
  return unpack(answer, 1, answer.n)
end

-- Takes the question that has come up, or nil.
function questions.take()
  local question = run.question
  run.question = nil
  return question
end

return questions
