-- Stack traces of scripts. They contain only lines of Lua files that are not Alaska's own, because only these can be
-- changed by the script's author.
local run, last_lines = ...

local getinfo, find, format, match, sub = debug.getinfo, string.find, string.format, string.match, string.sub
local floor, ipairs, running, setmetatable, tonumber, type = math.floor, ipairs, coroutine.running, setmetatable, tonumber, type

local POSITION = '^([^\n]-):(%d+): ' -- how most error texts start
local FIRST, LAST = 12, 10 -- lines kept at the start and end of a long trace
local MAX_RECORDED = 100 -- lines of a trace through several coroutines, each of which adds its own
local MAX = 200 -- levels that are examined before the last ones; each takes longer than the one before

local function is_main(at)
  return at.linedefined == 1 and at.lastlinedefined == last_lines[at.source]
end

local LONGEST_NAME, LONGEST_FILE = 200, 4096 -- octets: scripts can choose names of functions and chunks

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

-- Returns the number of stack levels of a thread, by binary search, which is fast for deep stacks.
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

-- Returns the frames of a thread, by default the running one. Each converts to a line of a stack trace.
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
    if not skipped and (#frames == FIRST or level - first == MAX) and depth - level > 2 * LAST then
      frames[#frames + 1] = format('...\t(skipping %d levels)', depth - LAST - level - 1)
      skipped, level = true, depth - LAST - 1
    end
    level = level + 1
  end
  return frames
end

-- Records the stack of an error that is going to be raised again, and returns the error. `frames` are the frames of the
-- coroutine that the error has ended.
function trace.record(value, frames)
  local recorded = run.recorded
  if not recorded or not rawequal(recorded.value, value) then
    recorded = { value = value, frames = frames or {} }
    run.recorded, run.dirty = recorded, true
    for _, frame in ipairs(#recorded.frames < MAX_RECORDED and trace.frames(nil) or {}) do
      recorded.frames[#recorded.frames + 1] = frame
    end
  end
  return value
end

-- Returns the frames of an error that ended a thread.
function trace.of_error(value, thread)
  local recorded = run.recorded
  if recorded and rawequal(recorded.value, value) then
    return recorded.frames
  end
  local frames = trace.frames(thread)
  local innermost = frames[1]
  if type(innermost) == 'table' and not innermost.line and type(value) == 'string' then
    -- For its own errors, LuaJIT does not keep the current line, but the error text contains it.
    local short_src, line = match(value, POSITION)
    innermost.line = short_src == innermost.short_src and tonumber(line) or nil
  end
  return frames
end

-- Returns file and line of an error: from its text if it starts with a position, else from the innermost frame. Lua
-- shortens long file names. `path` is the script's path, in case it has no frame.
function trace.position(text, frames, path)
  local short_src, line = match(text, POSITION)
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
