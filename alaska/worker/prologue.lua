-- The Lua side of LuaRunner: runs one script after the other in one interpreter, each in a world of its own.
--
-- Python calls this file once for each interpreter, with its settings and the sources of the other parts, and gets
-- back the functions that stand at the end of this file. No Python object is ever passed in, and none is left
-- behind.
--
-- Names: a *run* is one script serving one request. What a run may leave behind for the next one is listed in
-- `finish`; what cannot be undone sets `run.odd`, and Python makes a new interpreter.
local settings, sources = ...

-- Lupa puts a library of its own into every interpreter, and with it the way to Python.
python = nil
package.loaded.python = nil
debug.getregistry().Py_None = nil
collectgarbage()

-- Our own parts see a copy of the globals, so no function of ours leads to the true ones, however a script gets hold
-- of it: lupa reads those, and the registry, without protection, and a metatable on them would end the process.
debug.getregistry = nil
debug.debug = nil -- waits for a terminal
local private = {}
for name, value in next, _G do
  private[name] = value
end
private._G = private
package.loaded._G = private
debug = nil
local _ENV = private

local function part(name)
  return assert(load(sources[name], name, 'b', private))
end

-- The state of the run, shared by all parts.
local run = { odd = false, finalizers = false }
local EXIT = {} -- what a script that called os.exit yields, or raises where it cannot yield
local CALL = {} -- what a script that wants something of the worker yields, before what it wants

local console = part 'console'(run, settings, EXIT)
local sending = part 'sending'(run, EXIT)
local modules = part 'modules'(run, settings, part, console)
local api = part 'api'(run, settings, EXIT, CALL, sending, modules)
local environment = part 'environment'(run, settings, EXIT, CALL, console, sending, modules, api)

local create, resume, status, close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local traceback, metatable_of = debug.traceback, debug.getmetatable
local collect, load, rawget, select, tostring, type = collectgarbage, load, rawget, select, tostring, type
-- Our parts call no methods of strings: while a run lasts, strings have those that its script gave them.
local concat, find, gmatch, gsub = table.concat, string.find, string.gmatch, string.gsub

local scripts = {}

-- Compiles a script. Returns the error's text or nil, and whether the script has the table `alaska`.
local function compile(name, source, path, directory)
  local chunk, message = load(modules.without_first_line_comment(source), '@' .. path, 't', nil)
  if not chunk then
    scripts[name] = nil
    return message, false
  end
  local make_environment, has_api = environment.maker(source)
  scripts[name] = { chunk = chunk, path = path, directory = directory, make_environment = make_environment }
  return nil, has_api
end

-- Makes text of any error value.
local function describe(value)
  local kind = type(value)
  if kind == 'string' then
    return (gsub(value, '^%[alaska [^%]]*%]:%d+: ', '')) -- where in our parts it was noticed helps nobody
  end
  local metatable = metatable_of(value)
  if kind == 'number' or type(metatable) == 'table' and rawget(metatable, '__tostring') ~= nil then
    -- In a coroutine like the script itself: __tostring is the script's too, and may fail or never end.
    local ok, text = resume(create(tostring), value)
    if ok and type(text) == 'string' then
      return text
    end
  end
  return '(error object is a ' .. kind .. ' value)'
end

-- Keeps of a traceback what the script's author can do something about: the lines of Lua files that are not ours.
local function trace(thread)
  local kept = {}
  for line in gmatch(traceback(thread), '\n(\t[^\n]*)') do
    if not find(line, '^\t%[C%]') and not find(line, '^\t%[alaska ') and not find(line, '^\t%(%.%.%.tail') then
      kept[#kept + 1] = line
    end
  end
  return #kept > 0 and '\nstack traceback:\n' .. concat(kept, '\n') or ''
end

-- Tells how a script ended: nil for well, or the text of the error.
local function verdict(thread, ok, value)
  if run.exit then
    return run.exit.text
  end
  if not ok then
    return describe(value) .. trace(thread)
  end
  if status(thread) ~= 'dead' then
    return 'attempt to yield from outside a coroutine' .. trace(thread)
  end
end

-- Leaves the interpreter as it was before the run.
local function finish(script)
  modules.finish(script.chunk)
  if run.finalizers or run.odd then
    -- Twice: the finalizers that the first collection calls may leave objects that have one themselves.
    collect()
    collect()
    run.finalizers = false
  end
  console.close_files()
  environment.restore()
end

local script, thread -- of the run that has begun and not ended

-- Does what follows when the script has yielded or ended; see `go`.
local function advance(ok, ...)
  local first = ...
  if ok and first == CALL then
    return nil, select(2, ...)
  end
  local failure
  if ok and not run.exit and status(thread) == 'dead' then
    failure = api.returned(first)
    failure = failure and script.path .. ': ' .. failure
  else
    failure = verdict(thread, ok, first)
    close(thread) -- its pending to-be-closed variables
  end
  local kilobytes = collect 'count'
  finish(script)
  thread, run.request = nil, nil
  return not run.odd, failure, kilobytes, console.output(), sending.results()
end

-- Runs a compiled script. Returns whether the interpreter is still fit for use, the error's text or nil, the memory in
-- use, the output, the number of values that describe sends, and the first of them; `more` returns the others. When the script wants
-- something of the worker, it returns nil and what that is, and `answer` goes on.
local function go(name, context)
  script = scripts[name]
  run.directory = script.directory
  run.exit = nil
  console.begin()
  sending.begin()
  local env = script.make_environment(context)
  run.env = env
  modules.join(script.chunk, env)
  -- In a coroutine: os.exit leaves it by a yield that no pcall can catch, and a traceback shows nothing of ours.
  thread = create(script.chunk)
  return advance(resume(thread))
end

-- Goes on with what the worker says: true and values, nil and why there are none, or false and the script's mistake.
local function answer(...)
  return advance(resume(thread, ...))
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

return compile, go, answer, sending.more, describe_request, add_frames
