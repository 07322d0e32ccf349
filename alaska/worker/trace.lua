-- Where a script was when something went wrong: the lines of Lua files that are not ours, since these are what the
-- script's author can do something about.
local run, last_lines = ...

local getinfo, find, format, match, sub = debug.getinfo, string.find, string.format, string.match, string.sub
local running, floor = coroutine.running, math.floor

local FIRST, LAST = 12, 10 -- how many lines are kept of a long trace

local function is_main(at)
  return at.linedefined == 1 and at.lastlinedefined == last_lines[at.source]
end

local function name_of(at)
  if is_main(at) then
    return 'main chunk'
  elseif at.name and at.namewhat == 'global' then
    return format("function '%s'", at.name)
  elseif at.name and at.namewhat ~= '' then
    return format("%s '%s'", at.namewhat, at.name)
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

local trace = {}

-- Returns the frames of a thread, or of the one that is running: `{ short_src =, source =, line =, text = }`.
function trace.frames(thread)
  local first = thread and 0 or 2
  thread = thread or running()
  if not thread then
    return {}
  end
  local frames, level, depth = {}, first, depth_of(thread, first)
  while level < depth do
    local at = getinfo(thread, level, 'Sln')
    if at and at.currentline > 0 and not find(at.short_src, '^%[alaska ') then
      local text = format('%s:%d: in %s', at.short_src, at.currentline, name_of(at))
      frames[#frames + 1] = { short_src = at.short_src, source = at.source, line = at.currentline, text = text }
      if #frames == FIRST and depth - level > 2 * LAST then
        frames[FIRST + 1] = { text = format('...\t(skipping %d levels)', depth - LAST - level - 1) }
        level = depth - LAST - 1
      end
    end
    level = level + 1
  end
  return frames
end

-- Returns file and line of an error: those that its text begins with, else those of the innermost frame.
function trace.place(text, frames)
  local short_src, line = match(text, '^([^\n]-):(%d+): ')
  if short_src then
    for i = 1, #frames do
      if frames[i].short_src == short_src then
        return sub(frames[i].source, 2), line
      end
    end
    return short_src, line
  end
  local innermost = frames[1]
  if innermost then
    return match(innermost.source, '^@(.*)') or innermost.short_src, format('%d', innermost.line)
  end
end

return trace
