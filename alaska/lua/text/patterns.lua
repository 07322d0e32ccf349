-- What a pattern costs: how long a subject may be for the matcher in C to be done in a bounded time.
--
-- That matcher tries one way after the other, and nothing can stop it. What it may take in the worst case is estimated
-- from the parts of a pattern, its items, in units of about two nanoseconds:
--
-- * what a try costs that fails, from one position of the subject; there is one from each, if there is no anchor;
-- * what a try costs that matches, apart from the octets that it takes, and for each of these.
--
-- A repeated item multiplies the first by the length of the subject, as what is behind it is tried after each octet. It
-- does not where nothing behind it can fail, nor where no octet of its own can begin what is behind it.
local items_of, patience = ...

local byte, find, match = string.byte, string.find, string.match
local floor, huge, log, max, min = math.floor, math.huge, math.log, math.max, math.min
local is_5_1 = setfenv ~= nil

local LONGEST = 1000 -- octets of a pattern that is analysed, and remembered
local MOST_REMEMBERED = 200 -- patterns
local MOST_ITEMS = 180 -- for which Lua surely has levels enough
local QUICK, SLOW = 1e5, 4e7 -- units: what needs no look at the clock, and what may be done after one
local TRY, LITERAL = 4, 1 -- units of a call within the matcher, and of one octet that is compared
local MEAN = 0.6 -- the tries from all positions of n octets cost about as much as n tries of this part of them

local patterns = { QUICK = QUICK, SLOW = SLOW, TRY = TRY, LONGEST = LONGEST, MOST_REMEMBERED = MOST_REMEMBERED }

-- Costs

local ALL = items_of('.', 1)[1].class.octets
local MAY_BE_EMPTY = { ['*'] = true, ['-'] = true, ['?'] = true, open = true, close = true, position = true }

-- Notes of each item what follows it: `is_sure` if that cannot fail, `is_apart` if no octet of the item begins it, and
-- `glance`, what it costs to see that.
function patterns.look_ahead(items)
  local begins, is_sure, ends, glance = ALL, true, true, TRY
  for i = #items, 1, -1 do
    local item = items[i]
    local kind, own = item.kind, item.class
    local may_be_empty = MAY_BE_EMPTY[kind]
    item.is_sure, item.glance = is_sure, glance
    item.is_apart = own and not find(begins, own.text)
    is_sure = may_be_empty and (is_sure or ends and own and #own.octets == 256 and kind ~= '?') or false
    ends = may_be_empty and ends or kind == '$'
    glance = (own and own.weight or LITERAL) + TRY + (may_be_empty and glance or 0)
    if own then
      begins = may_be_empty and begins .. own.octets or own.octets
    elseif not may_be_empty then
      begins = kind == '$' and '' or ALL
    end
    if #begins > 1024 then
      begins = ALL
    end
    item.cannot_fail = is_sure
    if i % 64 == 0 then
      patience()
    end
  end
end

-- Each returns what a try that fails costs, then one that matches: apart from its octets, and for each of them. It is
-- given these of what is behind the item, and those of failure for the mean number of octets, and the number of octets.
local costs = {}

costs['*'] = function(item, fails, base, each, mean, n)
  local weight = item.class.weight
  if item.is_sure then
    return weight + TRY, base + TRY, max(each, weight)
  elseif item.is_apart then
    return max(n * (weight + item.glance), fails) + item.glance + TRY, base + TRY, max(each, weight)
  end
  local all_fail = n * (weight + TRY + mean)
  return all_fail + fails, all_fail + base, max(each, weight)
end
costs['+'] = costs['*']

costs['-'] = function(item, fails, base, each, mean, n)
  local weight = item.class.weight + TRY
  if item.is_sure then
    return 0, base + TRY, each
  elseif item.is_apart then
    weight = weight + item.glance
    return max(n * weight, fails) + item.glance + TRY, base + TRY, max(each, weight)
  end
  return n * (weight + mean) + fails, base + TRY, max(each, weight + mean)
end

costs['?'] = function(item, fails, base, each)
  local weight = item.class.weight + TRY
  if item.is_apart or item.is_sure then
    return weight + item.glance + fails, weight + item.glance + base, each
  end
  return weight + 2 * fails, weight + fails + base, each
end

function costs.one(item, fails, base, each)
  local weight = item.class.weight
  return weight + fails, weight + base, each
end

function costs.frontier(item, fails, base, each)
  local weight = 2 * item.class.weight
  return weight + fails, weight + base, each
end

function costs.balanced(_, fails, base, each, _, n)
  return n * LITERAL + fails, base + TRY, max(each, LITERAL)
end

function costs.back(_, fails, base, each, _, n)
  return n / 8 + TRY + fails, base + TRY, max(each, LITERAL)
end

function costs.open(_, fails, base, each)
  return TRY + fails, TRY + base, each
end
costs.close, costs.position, costs['$'], costs.wrong = costs.open, costs.open, costs.open, costs.open

-- Returns the three costs of the whole; `scale` is the part of n that is counted on.
local function costs_of(items, n)
  local fails, base, each = 0, 0, 0
  local mean = 0
  for i = #items, 1, -1 do
    local item = items[i]
    local cost = costs[item.kind]
    local mean_now = cost(item, mean, base, each, mean, n * MEAN)
    fails, base, each = cost(item, fails, base, each, mean, n)
    mean = mean_now
    if item.cannot_fail then
      fails, mean = 0, 0
    end
  end
  return fails + TRY, base + TRY, each, mean + TRY
end

-- Returns what one match, all matches, and a match at one position cost in n octets.
local function costs_in(items, n, is_anchored)
  local fails, base, each, mean = costs_of(items, n)
  local at = max(fails, base + each * n)
  if is_anchored then
    return at, at, at
  end
  return n * mean + base + each * n, n * max(mean, base + each), at
end

local lengths = {}
for power = 2, 30, 4 do
  lengths[#lengths + 1] = 2 ^ power
end

-- Returns up to which length a cost is within a bound, given what it is for each of `lengths`. On scales of logarithms
-- costs bend upwards: between two lengths they are no more than on the straight line.
local function longest(costs, most)
  local place = 1
  while place <= #lengths and costs[place] <= most do
    place = place + 1
  end
  local above = costs[place]
  if place > #lengths then
    return huge
  elseif place == 1 or above == huge then
    return place == 1 and 1 or lengths[place - 1]
  end
  local below, length = costs[place - 1], lengths[place - 1]
  return floor(length * (lengths[place] / length) ^ (log(most / below) / log(above / below)))
end

-- Notes up to which lengths of subjects a pattern needs no look at the time, and may be left to C after one.
local function bound(known, items)
  local once, every, at = {}, {}, {}
  for place = 1, #lengths do
    once[place], every[place], at[place] = costs_in(items, lengths[place], known.is_anchored)
  end
  known.quick, known.quick_every = longest(once, QUICK), longest(every, QUICK)
  known.once, known.every, known.at = longest(once, SLOW), longest(every, SLOW), longest(at, SLOW)
end

-- Tells whether string.find looks for a pattern as it is.
function patterns.is_plain(pattern)
  return not find(pattern, '[%^$*+?.(%[%%-]')
end

-- Returns the items of a pattern that is known.
function patterns.items(known)
  local pattern = known.pattern
  if #pattern > LONGEST and patterns.is_plain(pattern) and not find(pattern, ')', 1, true) then
    return { { kind = 'literal', text = pattern } }
  end
  return (items_of(pattern, known.is_anchored and 2 or 1))
end

-- Bounds what has no repeated items, and so costs the same at each position.
local function bound_at_once(known, at)
  known.share, known.at = at / SLOW, at <= SLOW and huge or 1
  if known.is_anchored and at <= QUICK then
    known.quick, known.once = huge, huge
  else
    known.quick, known.once = floor(QUICK / at), max(floor(SLOW / at), 1)
  end
  known.quick_every, known.every = known.quick, known.once
  return known
end

local function analysed(pattern, octets)
  local known = { pattern = pattern, captures = 0, share = 0, is_anchored = byte(pattern) == 94 } -- ^
  if patterns.is_plain(pattern) and not find(pattern, ')', 1, true) then
    known.is_right = true
    return bound_at_once(known, TRY + octets * LITERAL)
  end
  local items, captures, is_right = items_of(pattern, known.is_anchored and 2 or 1)
  known.captures, known.is_right = captures, is_right and #items < MOST_ITEMS
  if not find(pattern, '[*+?-]') and not find(pattern, '%%[b%d]') then
    local _, _, at = costs_in(items, 1)
    return bound_at_once(known, at)
  elseif octets <= LONGEST then
    patterns.look_ahead(items)
    bound(known, items)
    return known
  end
  known.is_right, known.quick, known.quick_every, known.once, known.every, known.at = false, 0, 0, 1, 1, 1
  return known
end

-- Returns what is known of a pattern; for string.gmatch it must have no anchor. Lengths of subjects within which C is
-- surely done in time: `once` for one match, `every` for all of them, `at` for a match at one position, which costs at
-- least `share` of what may be done; the first two also as `quick` and `quick_every`. `is_right` if no error can be.
function patterns.analysed(pattern)
  patience()
  local octets = #pattern
  if is_5_1 then
    pattern = match(pattern, '^%Z*') -- to LuaJIT, a zero is the end
  end
  local known = analysed(pattern, octets)
  -- string.find may be told to take the text as it is.
  known.quick = min(known.quick, floor(QUICK / (TRY + octets / 8)))
  return known
end

return patterns
