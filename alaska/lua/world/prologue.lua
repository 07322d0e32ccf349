-- The Lua side of LuaRunner: runs one script after the other in one interpreter, each with its own globals.
--
-- Python calls this file once per interpreter, with the settings and the sources of the other Lua files. It returns the
-- functions that Python calls. No Python object is ever passed in, and none remains.
--
-- A *run* is one execution of a script for one request. `finish` reverts what a run can change for later runs. What
-- cannot be reverted sets `run.unfit`, and Python then creates a new interpreter.
local settings, sources = ...

-- Lupa adds its own library to every interpreter, which gives access to Python: remove it.
python = nil
package.loaded.python = nil
debug.getregistry().Py_None = nil
collectgarbage()

-- Scripts must not reach LuaJIT's C interface or its compiler settings, whose effects would last.
local has_ffi, ffi = pcall(require, 'ffi')
debug.getregistry().alaska_ffi = ffi -- the compiler needs ffi; compiled code may crash without it
for _, name in ipairs { 'ffi', 'jit.opt', 'jit.util', 'jit.profile', 'string.buffer', 'table.new', 'table.clear' } do
  package.loaded[name], package.preload[name] = nil, nil
end

-- Alaska's own files get a copy of the globals. So none of their functions leads to the real globals, even if a script
-- gets hold of it: lupa reads the real globals and the registry without protection, and a metatable on them would crash
-- the process.
debug.getregistry = nil
debug.debug = nil -- reads from a terminal
local real_globals, private = _G, {}
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

number_format = string.format -- the C function, for formats without strings
private.string = part 'texts'(string)

-- The state of the current run, shared by all files.
local run = { unfit = false, finalizers = false }

local limits = part 'limits'(run, settings, part 'clock'(has_ffi and ffi))
local lexer = part 'lexer'()
local chunks = part 'chunks'(limits, part 'instrument'(lexer), private)

-- Files that process data of a script may run for long, so they are compiled with time checks, like scripts.
local function part_with_checks(name)
  return chunks.open(assert(chunks.compile(sources[name], '=[alaska ' .. name .. ']', limits.check_own)), private)
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
local console = part 'console'(run, settings, limits, trace.record)
local sending = part 'sending'(run, settings, limits, console, questions)
local messages = part 'messages'(sending, part 'terms'())
local system = settings.sandbox and part 'system'(run, console, trace.is_main)
local bounded = settings.sandbox and part 'bounded'(limits)
local loading = part 'loading'(run, settings, chunks, limits, console)
local modules =
  part 'modules'(run, settings, part_with_checks, chunks, limits, questions, console, loading, system, bounded)
local guards = jit and part 'guards'(run, trace.record)
local raw_resume = guards and guards.resume or coroutine.resume
local coroutines = part 'coroutines'(run, questions, limits.end_script, limits.check_time, raw_resume, trace)
local globals = part 'globals'(run, settings, console, messages, modules, coroutines, guards,
  part_with_checks 'tables', trace.record, limits.check_time)
local fenv = setfenv and part 'fenv'(run, globals, real_globals, private)
part(settings.sandbox and 'sandbox' or 'trusted')(globals, run, fenv, modules, trace.is_main, limits)
if settings.sandbox and limits.check then
  part 'bounds'(globals.libraries, limits, part, part_with_checks, guards, trace.record)
end
local tracing = part 'tracing'(run, limits, sending)
local progress = part 'progress'(run, limits, sending)
limits.deliver_progress = progress.deliver_if_due
local cancelling = part 'cancelling'(run, settings, limits, questions)
local asking = part 'asking'(run, limits, questions, sending, progress, cancelling)
local verdicts = part 'verdicts'(run, limits, sending)
local api =
  part 'api'(run, settings, sending, messages, asking, progress, cancelling, modules, tracing, verdicts)
local environment = part 'environment'(settings, globals, modules, api, lexer)

local create, resume, status, close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local collect, count, pcall, select, tostring, type = collectgarbage, collectgarbage, pcall, select, tostring, type
-- Alaska's files call no methods on strings: during a run, the script can replace them.
local concat, find, format = table.concat, string.find, string.format
local open, pack, unpack = chunks.open, table.pack, table.unpack

run.tracer = trace.frames

local scripts = {}
local gc_threshold -- kilobytes in use above which garbage is collected after a run
local has_collected, must_collect = false, false
local current -- the coroutine of the current script

-- Compiles a script. Returns the error text or nil, after which Python must call `release`, and whether the script uses
-- `alaska`.
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

-- Returns the error text and the frames of a failed script.
local function failure_of(thread, ok, value)
  local text = not ok and not run.ended_by and describe(value)
  if run.ended_by then -- may have been set by the __tostring just called
    if run.exit then
      return run.exit.text, {}
    end
    return run.ended_by, run.trace
  elseif text then
    return text, trace.of_error(value, thread)
  end
  return 'attempt to yield from outside a coroutine', trace.frames(thread)
end

-- Restores the interpreter to its state before the run.
local function finish()
  run.env, run.request, current = nil, nil, nil
  modules.finish()
  -- Finalizers may create further objects with finalizers.
  local rounds = 0
  while run.finalizers and not run.unfit do
    run.finalizers = false
    collect()
    rounds = rounds + 1
    run.unfit = rounds == 10
  end
  console.close_files()
  globals.restore()
  if count 'count' > gc_threshold then
    gc_threshold, has_collected, must_collect = limits.collect_after_run(), true, true
  end
end

local function begin()
  limits.begin()
  console.begin()
  sending.begin()
  progress.begin()
  cancelling.begin()
  coroutines.begin()
  if guards then
    guards.begin()
  end
  run.exit, run.frames, run.recorded, run.dirty = nil, nil, nil, false
  run.question, run.answer = nil, nil
end

-- The first result says whether Python keeps the interpreter.
local DISCARD, KEEP, KEEP_AND_TRIM, COMPLETE = 0, 1, 2, 3

local function results(message)
  local fitness = run.unfit and DISCARD or has_collected and KEEP_AND_TRIM or KEEP
  has_collected = false
  return fitness, message, console.output(), sending.results()
end

local function begin_and_return(...)
  begin()
  return ...
end

-- Returns the results of a successful run with little output. Nothing remains to be fetched; see `conclude`.
local function all_results()
  if sending.count() == 0 and console.captured_octets() == 0 then
    return begin_and_return(true)
  end
  return begin_and_return(COMPLETE, nil, console.output(), sending.results())
end

-- Returns the results of a run that has ended: true if there are none; else the fitness of the interpreter, the error
-- text or nil, the output, the number of values that describe messages and log lines, and the first batch of them. With
-- COMPLETE these are complete. Otherwise Python fetches the remaining values with `more` and the details of the error
-- with `details`, and then calls `release`.
local function conclude(thread, ok, value)
  run.dirty = true
  if run.script.eager then
    sending.end_eager()
  end
  progress.take()
  if ok and not run.ended_by and status(thread) == 'dead' then
    finish()
    -- A finalizer may have exceeded a limit.
    run.frames = run.trace
    local message = run.limit and run.ended_by
    local is_small = sending.count() <= sending.BATCH and sending.buffered_octets() + console.captured_octets() <= LARGE
    if is_small and not message and not run.unfit and not has_collected then
      return all_results()
    end
    return results(message)
  end
  local message
  message, run.frames = failure_of(thread, ok, value)
  if close and not run.limit then
    close(thread) -- runs the __close of pending variables
    if run.limit then
      message, run.frames = run.ended_by, run.trace
    end
  end
  finish()
  return results(message)
end

-- Functions that Python calls while memory is not limited

local long_context -- set by `set_context`

-- Sets the context of a compiled script before it runs. The script is recorded now, because a context that needs all of
-- the memory prevents its start.
local function set_context(context, name)
  long_context, run.script = context, scripts[name]
end

-- Sets the request for a script that uses `alaska`, before it runs. The number of headers is followed by the name and
-- value of each, and the content frames.
local function describe_request(subject, address, sender, tracker, worker, attempt, snoozes, deadline, age, traced,
    stream, position, count_headers, ...)
  local headers = {}
  for i = 1, 2 * count_headers, 2 do
    local name, value = select(i, ...)
    headers[name] = value
  end
  run.request = { subject = subject, address = address, sender = sender, tracker = tracker, worker = worker,
    attempt = attempt, snoozes = snoozes, deadline = deadline, age = age, trace = traced, headers = headers,
    stream = stream, position = position,
    frames = { select(2 * count_headers + 1, ...) } }
end

-- Adds content frames to the request.
local function add_frames(...)
  local frames = run.request.frames
  for i = 1, select('#', ...) do
    frames[#frames + 1] = (select(i, ...))
  end
end

-- Sets the answer of the worker: true and values; nil and the reason for no answer; or false and an error text for the
-- script.
local function set_answer(...)
  run.answer = pack(...)
end

-- Running

-- Releases the results of a run after Python has read them. They may be large, and the next run may start much later.
-- The error and the stack still existed when `finish` collected garbage.
local function release()
  local is_large = must_collect or sending.buffered_octets() + console.captured_octets() > LARGE
  begin()
  if is_large then
    gc_threshold, must_collect = limits.collect_after_run(), false
  end
end

-- Handles a yield or the end of a script; see `run_script`.
local function advance(thread, ok, value)
  if ok and value == nil and status(thread) == 'dead' and not (run.dirty or run.unfit or console.has_open_files()) then
    run.env, run.request, current = nil, nil, nil
    if run.script.eager then
      sending.end_eager()
    end
    if count 'count' <= gc_threshold then
      return true
    end
    gc_threshold, has_collected = limits.collect_after_run(), true
    return results()
  end
  local question = questions.take()
  if question and status(thread) == 'suspended' then
    return nil, unpack(question, 1, question.n)
  elseif ok and value ~= nil and not run.ended_by and status(thread) == 'dead' then
    ok, value = pcall(api.returned, value) -- the return value is a reply to the request
  end
  if not ok and type(value) == 'string' and find(value, MEMORY) and not run.ended_by then
    return
  end
  return conclude(thread, ok, value)
end

-- Runs a compiled script with this context, or the one set by `set_context`. Further arguments, for a script that uses
-- `alaska`, are those of `describe_request`, unless that was called before. Returns nothing if memory ran out; nil and a
-- question if the script asks the worker, after which Python calls `resume_script`; else the results of `conclude`.
local function run_script(name, context, ...)
  if run.dirty then
    begin()
  end
  if ... then
    describe_request(...)
  end
  local script = scripts[name]
  run.script = script
  run.eager = script.eager
  if script.eager then
    sending.begin_eager()
  end
  local env = script.make_environment(context or long_context, script.path)
  long_context, run.env = nil, env
  -- In a coroutine: os.exit ends it by a yield that no pcall can catch, and tracebacks contain only the script.
  current = create(open(script.chunk, env))
  return advance(current, resume(current))
end

local claim = part 'claims'(open_file, settings.claims)
local run_from

local function continue_after(given, at, result, ...)
  if result ~= true or given[at] == nil or not claim() then
    return result, ...
  end
  return run_from(given, at)
end

local number = 0 -- of the current script of `run_several`, from 1 on

function run_from(given, at)
  number = number + 1
  local last = at + 2 + given[at + 2]
  if last == at + 2 then
    return continue_after(given, last + 1, run_script(given[at], given[at + 1]))
  end
  return continue_after(given, last + 1, run_script(given[at], given[at + 1], unpack(given, at + 3, last)))
end

-- Runs compiled scripts with short contexts until one has results or no further request can be claimed. Each is given
-- by its name, its context, the number of further arguments of `run_script`, and these. Returns the results of
-- `run_script` for the last one.
local function run_several(...)
  number = 0
  return run_from({ n = select('#', ...), ... }, 1)
end

-- Returns the number of the current script of `run_several`, from 1 on.
local function current_number()
  return number
end

-- Resumes a script with the answer set by `set_answer`.
local function resume_script()
  sending.record_delivery(run.answer[1])
  return advance(current, resume(current))
end

-- Returns the results of a run that ran out of memory, after Python has lifted the limit. No code of the script is
-- called any more.
local function recover()
  run.unfit, run.dirty = true, true
  run.frames = current and trace.frames(current) or {}
  run.env, run.request, current, run.question, run.answer = nil, nil, nil, nil, nil
  local innermost = run.frames[1]
  local is_known = type(innermost) == 'table' and innermost.line
  local where = is_known and format('%s:%d: ', innermost.short_src, innermost.line) or ''
  return results(limits.out_of_memory(where))
end

-- Returns the details of the latest error: file, line and limit, each nil if unknown, and the stack trace, one line per
-- frame.
local function details(message)
  local lines = {}
  for i, frame in ipairs(run.frames or {}) do
    lines[i] = tostring(frame)
  end
  local file, line = trace.position(message, run.frames or {}, run.script.path)
  return file or run.script.path, line, run.limit, concat(lines, '\n')
end

gc_threshold = limits.finish_startup()
return compile, set_context, run_script, claim and run_several, resume_script, set_answer, recover, details,
  sending.more, release, describe_request, add_frames, current_number
