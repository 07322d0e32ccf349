-- Where a script was when something went wrong: the lines of Lua files that are not ours, since these are what the
-- script's author can do something about.
local run, last_lines = ...

local getinfo, find, format, match, sub = debug.getinfo, string.find, string.format, string.match, string.sub
local floor, ipairs, running, setmetatable, tonumber, type = math.floor, ipairs, coroutine.running, setmetatable, tonumber, type

local PLACE = '^([^\n]-):(%d+): ' -- what an error begins with, mostly
local FIRST, LAST = 12, 10 -- how many lines are kept of a long trace
local MOST_NOTED = 100 -- lines of a trace that goes through coroutines, to which each adds its own
local MOST = 200 -- how many levels are looked at before the last ones: each takes longer than the one before

local function is_main(at)
  return at.linedefined == 1 and at.lastlinedefined == last_lines[at.source]
end

local LONGEST_NAME, LONGEST_FILE = 200, 4096 -- octets: a script can make up any name for a function or a chunk

local function name_of(at)
  if is_main(at) then
    return 'main chunk'
  elseif at.name and at.namewhat == 'global' then
    return format("function '%s'", sub(at.name, 1, LONGEST_NAME))
  elseif at.name and at.namewhat ~= '' then
    return format("%s '%s'", at.namewhat, sub(at.name, 1, LONGEST_NAME))
  end
  return format('function <%s:%d>', at.short_src, at.linedefined)
end

-- Returns how many levels a thread has, as quickly as a deep one needs.
local function depth_of(thread, first)
  local low, high = first, first + 1
  while getinfo(thread, high, 'l') do
    low, high = high, high * 2
  end
  while high - low > 1 do
    local middle = floor((low + high) / 2)
    if getinfo(thread, middle, 'l') then
      low = middle
    else
      high = middle
    end
  end
  return high
end

local Frame = {}

function Frame.__tostring(frame)
  local line = frame.line and format('%d:', frame.line) or ''
  return format('%s:%s in %s', frame.short_src, line, frame.name)
end

local function frame_of(at)
  local line = at.currentline > 0 and at.currentline or nil
  return setmetatable({ short_src = at.short_src, source = at.source, line = line, name = name_of(at) }, Frame)
end

local trace = { is_main = is_main }

-- Returns the frames of a thread, or of the one that is running; as a text, each is a line of a traceback.
function trace.frames(thread)
  local first = thread and 0 or 2
  thread = thread or running()
  if not thread then
    return {}
  end
  local frames, level, depth, skipped = {}, first, depth_of(thread, first), false
  while level < depth do
    local at = getinfo(thread, level, 'Sln')
    if at and at.what ~= 'C' and at.what ~= 'tail' and not find(at.short_src, '^%[alaska ') then
      frames[#frames + 1] = frame_of(at)
    end
    if not skipped and (#frames == FIRST or level - first == MOST) and depth - level > 2 * LAST then
      frames[#frames + 1] = format('...\t(skipping %d levels)', depth - LAST - level - 1)
      skipped, level = true, depth - LAST - 1
    end
    level = level + 1
  end
  return frames
end

-- Notes where an error was raised that is to be raised again, and returns it; `frames` are those of a coroutine that it
-- has ended.
function trace.note(value, frames)
  local noted = run.noted
  if not noted or not rawequal(noted.value, value) then
    noted = { value = value, frames = frames or {} }
    run.noted, run.touched = noted, true
    for _, frame in ipairs(#noted.frames < MOST_NOTED and trace.frames(nil) or {}) do
      noted.frames[#noted.frames + 1] = frame
    end
  end
  return value
end

-- Returns the frames of an error that has ended a thread.
function trace.of_error(value, thread)
  local noted = run.noted
  if noted and rawequal(noted.value, value) then
    return noted.frames
  end
  local frames = trace.frames(thread)
  local innermost = frames[1]
  if type(innermost) == 'table' and not innermost.line and type(value) == 'string' then
    -- LuaJIT forgets where it was when it fails itself, but has told it.
    local short_src, line = match(value, PLACE)
    innermost.line = short_src == innermost.short_src and tonumber(line) or nil
  end
  return frames
end

-- Returns file and line of an error: those that its text begins with, else those of the innermost frame. Lua shortens
-- the names of files that are long; `path` is that of the script, which may have no frame.
function trace.place(text, frames, path)
  local short_src, line = match(text, PLACE)
  if short_src then
    for i = 1, #frames do
      if type(frames[i]) == 'table' and frames[i].short_src == short_src then
        return sub(frames[i].source, 2, LONGEST_FILE), line
      end
    end
    local rest = match(short_src, '^%.%.%.(.+)')
    return rest and sub(path, -#rest) == rest and path or sub(short_src, 1, LONGEST_FILE), line
  end
  local innermost = frames[1]
  if type(innermost) == 'table' then
    local file = find(innermost.source, '^@') and sub(innermost.source, 2, LONGEST_FILE)
    return file or innermost.short_src, innermost.line and format('%d', innermost.line)
  end
end

return trace
