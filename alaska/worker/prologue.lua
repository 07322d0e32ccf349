-- The Lua side of LuaRunner: runs one script after the other in one interpreter, each in a world of its own.
--
-- Python calls this file once for each interpreter, with its settings and the sources of the other parts, and gets
-- back three functions: compile, run, more. No Python object is ever passed in, and none is left behind.
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

local console = part 'console'(run, settings, EXIT)
local sending = part 'sending'(run, EXIT)
local modules = part 'modules'(run, settings, part, console)
local environment = part 'environment'(run, settings, EXIT, console, sending, modules)

local create, resume, status, close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local traceback, metatable_of = debug.traceback, debug.getmetatable
local collect, load, rawget, tostring, type = collectgarbage, load, rawget, tostring, type
-- Our parts call no methods of strings: while a run lasts, strings have those that its script gave them.
local concat, find, gmatch, gsub = table.concat, string.find, string.gmatch, string.gsub

local scripts = {}

local function compile(name, source, path, directory)
  local chunk, message = load(modules.without_first_line_comment(source), '@' .. path, 't', nil)
  if not chunk then
    scripts[name] = nil
    return message
  end
  scripts[name] = { chunk = chunk, directory = directory, make_environment = environment.maker(source) }
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

-- Runs a script in its world; returns the error's text, or nil.
local function execute(script, context)
  local env = script.make_environment(context)
  run.env = env
  modules.join(script.chunk, env)
  -- In a coroutine: os.exit leaves it by a yield that no pcall can catch, and a traceback shows nothing of ours.
  local thread = create(script.chunk)
  local ok, value = resume(thread)
  if ok and not run.exit and status(thread) == 'dead' then
    return nil
  end
  local failure = verdict(thread, ok, value)
  close(thread) -- its pending to-be-closed variables
  return failure
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

-- Runs a compiled script. Returns whether the interpreter is still fit for use, the error's text or nil, the output,
-- the number of values that describe sends, and the first of them; `more` returns the others.
local function go(name, context)
  local script = scripts[name]
  run.directory = script.directory
  run.exit = nil
  console.begin()
  sending.begin()
  local failure = execute(script, context)
  finish(script)
  return not run.odd, failure, console.output(), sending.results()
end

return compile, go, sending.more
