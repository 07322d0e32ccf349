-- Keeps the system's lua-cjson within the limits of a run, for scripts in the sandbox.
--
-- lua-cjson recurses on the C stack, whose overflow crashes the process, and its buffers do not count towards the
-- memory limit. So scripts cannot raise the maximum depth, and the memory that a document needs is estimated before
-- lua-cjson starts.
local limits = ...

local MAX_DEPTH = 1000 -- lua-cjson's default
local LARGE = 1024 * 1024 -- octets from which on a document is estimated before decoding, or a buffer is released
local COUNTED, MANY = 1024, 16384 -- values, and values of one table, between two time checks
local ESCAPED = 6 -- maximum octets of JSON for one octet of a string
local LONG = 4096 -- octets from which on the escapes in a string are counted
local PIECE = 65536 -- octets that are scanned between two time checks
local ITEM, NULL = 30, 5 -- maximum octets of JSON: a number, or the punctuation around a string and its key
local SLOT, STRING, TABLE = 48, 32, 56 -- maximum octets of memory: a slot of a growing table, and a value

local error, format, gmatch, next, pcall, select, sub, tonumber, type =
  error, string.format, string.gmatch, next, pcall, select, string.sub, tonumber, type

-- Counts down `left`, and checks the time when it reaches 0. Returns the new count.
local function tick(left)
  if left > 0 then
    return left - 1
  end
  limits.check_time()
  return COUNTED
end

-- Returns the maximum octets of JSON for a string.
local function weight_of_string(text)
  if #text < LONG then
    return #text * ESCAPED
  end
  local weight = #text
  for start = 1, #text, PIECE do
    limits.check_time()
    for run in gmatch(sub(text, start, start + PIECE - 1), '[%c"\\/\127]+') do
      weight = weight + #run * (ESCAPED - 1)
    end
  end
  return weight
end

-- Returns a function that estimates the octets of JSON for a value, and ends the run when they exceed `free_octets`. An
-- array with holes is written with nulls, unless it is so sparse that lua-cjson refuses it (`ratio` and `safe`).
local function weigher(free_octets, most_depth, ratio, safe)
  local weight, left = 0, COUNTED

  local function weigh(value, depth)
    if depth > most_depth then
      error(format('Cannot serialise, excessive nesting (%d)', depth), 0)
    end
    local count, highest, texts = 0, 0, 0
    for key, item in next, value do
      count = count + 1
      if count % MANY == 0 then
        limits.check_time()
      end
      if type(key) == 'string' then
        highest, texts = nil, texts + #key
      elseif highest and type(key) == 'number' and key > highest then
        highest = key
      end
      local kind = type(item)
      if kind == 'string' then
        if #item < LONG then
          texts = texts + #item
        else
          if weight + #item > free_octets then
            limits.short_of_memory()
          end
          weight = weight + weight_of_string(item)
          if weight > free_octets then
            limits.short_of_memory()
          end
        end
      elseif kind == 'table' then
        weigh(item, depth + 1)
      end
    end
    left = left - count
    if left < 0 then
      left = tick(0)
    end
    weight = weight + texts * ESCAPED + count * ITEM + ITEM
    if highest and highest > count and (ratio == 0 or highest <= count * ratio or highest <= safe) then
      weight = weight + (highest - count) * NULL
    end
    if weight > free_octets then
      limits.short_of_memory()
    end
  end

  return function(value)
    if type(value) == 'table' then
      weigh(value, 1)
    else
      weight = weight_of_string(value)
    end
    return weight
  end
end

-- Returns the maximum octets of memory for the values of a JSON document.
local function weight_of_values(text)
  local weight = #text
  for start = 1, #text, PIECE do
    limits.check_time()
    for mark in gmatch(sub(text, start, start + PIECE - 1), '[,:%[{"]') do
      weight = weight + ((mark == ',' or mark == ':') and SLOT or mark == '"' and STRING / 2 or TABLE + SLOT)
    end
  end
  return weight
end

local function bounded_depth(cjson, name)
  local set = cjson[name]
  return function(...)
    local depth = tonumber((...)) -- lua-cjson accepts a numeric string as well
    if select('#', ...) > 1 then
      error(format("bad argument #2 to '%s' (found too many arguments)", name), 2)
    elseif ... ~= nil and not (depth and depth >= 1 and depth <= MAX_DEPTH and depth % 1 == 0) then
      error(format("bad argument #1 to '%s' (expected integer between 1 and %d)", name, MAX_DEPTH), 2)
    end
    return set(depth)
  end
end

-- Returns the results of a pcall, or raises its error at the position of the script's call.
local function results_or_error(ok, ...)
  local value = ...
  if ok then
    return ...
  elseif value == 'not enough memory' then
    limits.short_of_memory() -- only once: lua-cjson leaks its current buffer in this case
  end
  error(value, 2)
end

local function bounded_encode(cjson, is_safe)
  local encode, depth, keep_buffer = cjson.encode, cjson.encode_max_depth, cjson.encode_keep_buffer
  local sparse = cjson.encode_sparse_array

  local function without_buffer(...)
    if keep_buffer() then
      keep_buffer(false)
      keep_buffer(true)
    end
    return ...
  end

  return function(...)
    if select('#', ...) ~= 1 or type(...) ~= 'table' and type(...) ~= 'string' then
      return results_or_error(pcall(encode, ...))
    end
    local _, ratio, safe = sparse()
    local is_weighed, weight = pcall(weigher(limits.free_octets() / 2, depth(), ratio, safe), ...)
    if not is_weighed and is_safe then
      return nil, weight
    elseif not is_weighed then
      return results_or_error(false, weight)
    elseif weight < LARGE then
      return results_or_error(pcall(encode, ...))
    end
    limits.check_time()
    return results_or_error(without_buffer(pcall(encode, ...)))
  end
end

local function bounded_decode(cjson)
  local decode = cjson.decode
  return function(...)
    local text = ...
    if type(text) == 'string' and #text > LARGE then
      if weight_of_values(text) > limits.free_octets() then
        limits.short_of_memory()
      end
      limits.check_time()
    end
    return results_or_error(pcall(decode, ...))
  end
end

-- Adds the bounds to a cjson table and to those that its `new` returns. Each table belongs to one run.
local function with_bounds(cjson, is_safe)
  local new = cjson.new
  cjson.encode, cjson.decode = bounded_encode(cjson, is_safe), bounded_decode(cjson)
  cjson.encode_max_depth = bounded_depth(cjson, 'encode_max_depth')
  cjson.decode_max_depth = bounded_depth(cjson, 'decode_max_depth')
  function cjson.new()
    return with_bounds(new(), is_safe)
  end
  return cjson
end

local bounded = {}

-- Returns the loader of a C module; for lua-cjson, one that adds the bounds.
function bounded.loader(name, open)
  if name ~= 'cjson' and name ~= 'cjson.safe' then
    return open
  end
  return function(...)
    return with_bounds(open(...), name == 'cjson.safe')
  end
end

return bounded
