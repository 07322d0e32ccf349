-- The Lua side of LuaRunner: runs one script after the other in one interpreter, each in a world of its own.
--
-- Python calls this file once for each interpreter, with its settings and the sources of the other parts, and gets
-- back the functions that it calls. No Python object is ever passed in, and none is left behind.
--
-- Names: a *run* is one script serving one request. What a run may leave behind for the next one is listed in
-- `finish`; what cannot be undone sets `run.odd`, and Python makes a new interpreter.
local settings, sources = ...

-- Lupa puts a library of its own into every interpreter, and with it the way to Python.
python = nil
package.loaded.python = nil
debug.getregistry().Py_None = nil
collectgarbage()

-- LuaJIT's ways to C and to its compiler are no script's: what they change would stay.
local has_ffi, ffi = pcall(require, 'ffi')
debug.getregistry().alaska_ffi = ffi -- the compiler counts on it: without it, whatever it compiles may crash
for _, name in ipairs { 'ffi', 'jit.opt', 'jit.util', 'jit.profile', 'string.buffer', 'table.new', 'table.clear' } do
  package.loaded[name], package.preload[name] = nil, nil
end

-- Our own parts see a copy of the globals, so no function of ours leads to the true ones, however a script gets hold
-- of it: lupa reads those, and the registry, without protection, and a metatable on them would end the process.
debug.getregistry = nil
debug.debug = nil -- waits for a terminal
local true_globals, private = _G, {}
for name, value in next, _G do
  private[name] = value
end
private._G = private
package.loaded._G = private
debug = nil
local setfenv = setfenv
if setfenv then
  setfenv(1, private)
end
local _ENV = private

local open_file = io.open

local function part(name)
  return assert(load(sources[name], '=[alaska ' .. name .. ']', 'bt', private))
end

number_format = string.format -- of C, for what has no strings in it
private.string = part 'texts'(string)

-- The state of the run, shared by all parts.
local run = { odd = false, finalizers = false }

local limits = part 'limits'(run, settings, part 'clock'(has_ffi and ffi))
local lexer = part 'lexer'()
local chunks = part 'chunks'(limits, part 'instrument'(lexer), private)

-- A part that works on what a script gives it may work for long, so it is checked as the script is.
local function part_with_checks(name)
  return chunks.open(assert(chunks.compile(sources[name], '=[alaska ' .. name .. ']')), private)
end

if not utf8 then
  utf8 = part_with_checks 'utf8'()
end
if not table.unpack then
  table.unpack = unpack
  function table.pack(...)
    return { n = select('#', ...), ... }
  end
end

local questions = part 'questions'(run)
local trace = part 'trace'(run, chunks.last_lines)
local describe = part 'describe'(debug.getmetatable)
local console = part 'console'(run, settings, limits, trace.note)
local sending = part 'sending'(run, settings, limits, console, questions)
local system = settings.sandbox and part 'system'(run, console, trace.is_main)
local bounded = settings.sandbox and part 'bounded'(limits)
local loading = part 'loading'(run, settings, chunks, limits, console)
local modules =
  part 'modules'(run, settings, part_with_checks, chunks, limits, questions, console, loading, system, bounded)
local guards = jit and part 'guards'(run, trace.note)
local raw_resume = guards and guards.resume or coroutine.resume
local leaving = part 'leaving'(run, questions, limits.leave, limits.patience, raw_resume, trace)
local globals = part 'globals'(run, settings, console, sending, modules, leaving, guards,
  part_with_checks 'tables', trace.note)
local fenv = setfenv and part 'fenv'(run, globals, true_globals, private)
part(settings.sandbox and 'sandbox' or 'trusted')(globals, run, fenv, modules, trace.is_main, limits)
if settings.sandbox and limits.check then
  part 'bounds'(globals.libraries, limits, part, part_with_checks, guards, trace.note)
end
local api = part 'api'(run, settings, limits, questions, sending, modules)
local environment = part 'environment'(settings, globals, modules, api, lexer)

local create, resume, status, close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local collect, count, pcall, select, tostring, type = collectgarbage, collectgarbage, pcall, select, tostring, type
-- Our parts call no methods of strings: while a run lasts, strings have those that its script gave them.
local concat, find, format = table.concat, string.find, string.format
local open, pack, unpack = chunks.open, table.pack, table.unpack

run.tracer = trace.frames

local scripts = {}
local most -- from how many kilobytes on there is too much garbage
local has_tidied, must_tidy = false, false
local current -- the thread of the script that is run

-- Compiles a script. Returns the error's text or nil, after which `forget` is to be called, and whether the script has
-- the table `alaska`.
local function compile(name, source, path, directory)
  local is_in_time, chunk, message = pcall(chunks.compile_file, source, path)
  if not is_in_time or not chunk then
    scripts[name], run.script, run.frames = nil, { path = path }, nil
    return is_in_time and message or chunk, false
  end
  local make_environment, has_api = environment.maker(source)
  scripts[name] = { chunk = chunk, path = path, directory = directory, make_environment = make_environment,
    eager = true }
  return nil, has_api
end

local MEMORY = 'not enough memory$'
local LARGE = 256 * 1024 -- octets

-- Tells how a script failed: its error's text and frames.
local function failure_of(thread, ok, value)
  local text = not ok and not run.over and describe(value)
  if run.over then -- perhaps only now, by a __tostring
    if run.exit then
      return run.exit.text, {}
    end
    return run.over, run.trace
  elseif text then
    return text, trace.of_error(value, thread)
  end
  return 'attempt to yield from outside a coroutine', trace.frames(thread)
end

-- Leaves the interpreter as it was before the run.
local function finish()
  run.env, run.request, current = nil, nil, nil
  modules.finish()
  -- The finalizers that a collection calls may leave objects that have one themselves.
  local rounds = 0
  while run.finalizers and not run.odd do
    run.finalizers = false
    collect()
    rounds = rounds + 1
    run.odd = rounds == 10
  end
  console.close_files()
  globals.restore()
  if count 'count' > most then
    most, has_tidied, must_tidy = limits.tidy(), true, true
  end
end

local function begin()
  limits.begin()
  console.begin()
  sending.begin()
  leaving.begin()
  if guards then
    guards.begin()
  end
  run.exit, run.frames, run.noted, run.touched = nil, nil, nil, false
  run.question, run.answer = nil, nil
end

-- The first result tells what becomes of the interpreter.
local UNFIT, FIT, FIT_WITH_MEMORY_TO_GIVE_BACK, READY = 0, 1, 2, 3

local function results(message)
  local fitness = run.odd and UNFIT or has_tidied and FIT_WITH_MEMORY_TO_GIVE_BACK or FIT
  has_tidied = false
  return fitness, message, console.output(), sending.results()
end

local function begin_and_return(...)
  begin()
  return ...
end

-- Returns what is told of a run that went well and leaves little, which is not kept for another call; see `conclude`.
local function all_results()
  if sending.count() == 0 and console.held() == 0 then
    return begin_and_return(true)
  end
  return begin_and_return(READY, nil, console.output(), sending.results())
end

-- Returns what is told of a run that has ended: true if there is nothing to tell, else the fitness of the interpreter,
-- the error's text or nil, the output, the number of values that describe sends, and the first of them. If it is READY,
-- that is all; otherwise `more` returns the other values, `details` what else there is to say of the error, and
-- `forget` is to be called.
local function conclude(thread, ok, value)
  run.touched = true
  if run.script.eager then
    sending.end_eager()
  end
  if ok and not run.over and status(thread) == 'dead' then
    finish()
    -- A finalizer may have gone beyond a limit.
    run.frames = run.trace
    local message = run.limit and run.over
    local is_small = sending.count() <= sending.BATCH and sending.held() + console.held() <= LARGE
    if is_small and not message and not run.odd and not has_tidied then
      return all_results()
    end
    return results(message)
  end
  local message
  message, run.frames = failure_of(thread, ok, value)
  if close and not run.limit then
    close(thread) -- its pending to-be-closed variables
    if run.limit then
      message, run.frames = run.over, run.trace
    end
  end
  finish()
  return results(message)
end

-- What is handed over while memory is not limited

local held -- a context that is long

local function hold(context)
  held = context
end

-- Tells a script that has the table `alaska` what its request is, before it is run.
local function describe_request(subject, address, sender, tracker, worker, attempt, deadline, ...)
  run.request = { subject = subject, address = address, sender = sender, tracker = tracker, worker = worker,
    attempt = attempt, deadline = deadline, frames = { ... } }
end

-- Adds content frames to those that `describe_request` was given.
local function add_frames(...)
  local frames = run.request.frames
  for i = 1, select('#', ...) do
    frames[#frames + 1] = (select(i, ...))
  end
end

-- Takes what the worker says: true and values, nil and why there are none, or false and the script's mistake.
local function hold_answer(...)
  run.answer = pack(...)
end

-- Running

-- Lets go of what a run has left, once Python has it: there may be much, and the next run may come late. What the run
-- ended with, its error and its stack, was still there when it was tidied up.
local function forget()
  local is_large = must_tidy or sending.held() + console.held() > LARGE
  begin()
  if is_large then
    most, must_tidy = limits.tidy(), false
  end
end

-- Does what follows when a script has yielded or ended; see `go`.
local function advance(thread, ok, value)
  if ok and value == nil and not run.touched and not run.odd and status(thread) == 'dead' then
    run.env, run.request, current = nil, nil, nil
    if run.script.eager then
      sending.end_eager()
    end
    if count 'count' <= most then
      return true
    end
    most, has_tidied = limits.tidy(), true
    return results()
  end
  local question = questions.take()
  if question and status(thread) == 'suspended' then
    return nil, unpack(question, 1, question.n)
  elseif ok and value ~= nil and not run.over and status(thread) == 'dead' then
    ok, value = pcall(api.returned, value) -- the script answers the request by what it returns
  end
  if not ok and type(value) == 'string' and find(value, MEMORY) and not run.over then
    return
  end
  return conclude(thread, ok, value)
end

-- Runs a compiled script, with the context that is held unless there is one. Returns nothing if memory was short, nil
-- and more if the script wants something of the worker, for which `go_on` has the answer, else what `conclude` does.
local function go(name, context)
  if run.touched then
    begin()
  end
  local script = scripts[name]
  run.script = script
  run.eager = script.eager
  if script.eager then
    sending.begin_eager()
  end
  local env = script.make_environment(context or held, script.path)
  held, run.env = nil, env
  -- In a coroutine: os.exit leaves it by a yield that no pcall can catch, and a traceback shows nothing of ours.
  current = create(open(script.chunk, env))
  return advance(current, resume(current))
end

-- Returns a function that says whether one more request may begin; see claims.py. Nil where the system does not tell.
local function claims(path)
  local file = path and open_file(path, 'rb')
  if file then
    file:setvbuf 'no' -- each reading takes one octet, and leaves the others to whoever wants them back
    local read = file.read
    return function()
      return read(file, 1) == '1'
    end
  end
end

local may_begin = claims(settings.claims)
local go_from

local function after(given, at, result, ...)
  if result ~= true or given[at] == nil or not may_begin() then
    return result, ...
  end
  return go_from(given, at)
end

local position -- of the script that is run, among several

function go_from(given, at)
  position = at
  return after(given, at + 2, go(given[at], given[at + 1]))
end

-- Runs compiled scripts with short contexts, given in turns, until one leaves something to be told or another must not
-- begin. Returns what `go` does for the last.
local function go_several(...)
  return go_from({ ... }, 1)
end

-- Returns which of the scripts that `go_several` was given is run.
local function which()
  return (position + 1) / 2
end

-- Goes on with a script that is given the answer which is held.
local function go_on()
  sending.answered(run.answer[1])
  return advance(current, resume(current))
end

-- Concludes a run that was short of memory, once there is enough. Nothing of the script is called any more.
local function rescue()
  run.odd, run.touched = true, true
  run.frames = current and trace.frames(current) or {}
  run.env, run.request, current, run.question, run.answer = nil, nil, nil, nil, nil
  local innermost = run.frames[1]
  local is_known = type(innermost) == 'table' and innermost.line
  local where = is_known and format('%s:%d: ', innermost.short_src, innermost.line) or ''
  return results(limits.out_of_memory(where))
end

-- Returns what there is to say of the latest error: file, line and limit, each nil where there is none, and the
-- traceback, a line for each frame.
local function details(message)
  local lines = {}
  for i, frame in ipairs(run.frames or {}) do
    lines[i] = tostring(frame)
  end
  local file, line = trace.place(message, run.frames or {}, run.script.path)
  return file or run.script.path, line, run.limit, concat(lines, '\n')
end

most = limits.settle()
return compile, hold, go, may_begin and go_several, go_on, hold_answer, rescue, details, sending.more, forget,
  describe_request, add_frames, which
