-- Estimates the cost of a pattern: the longest subject for which the matcher in C finishes in bounded time.
--
-- The matcher in C backtracks and cannot be interrupted. Its worst case is estimated from the items of the pattern, in
-- units of about two nanoseconds:
--
-- * the cost of a failed attempt at one position of the subject; without an anchor, there is an attempt at each
--   position;
-- * the cost of a successful attempt: a fixed part, and a part for each octet that it matches.
--
-- A repeated item multiplies the cost of failure by the length of the subject, because the items after it are tried
-- after each octet. It does not if nothing after it can fail, or if no octet of the item can start what follows.
local items_of, check_time = ...

local byte, find, match = string.byte, string.find, string.match
local floor, huge, log, max, min = math.floor, math.huge, math.log, math.max, math.min
local is_5_1 = setfenv ~= nil

local LONGEST = 1000 -- octets of the longest pattern that is analysed and cached
local MAX_CACHED = 200 -- patterns in the cache
local MAX_ITEMS = 180 -- items for which the recursion limit of the matcher certainly suffices
local QUICK, SLOW = 1e5, 4e7 -- units: cost that needs no time check, and maximum cost between two time checks
local TRY, LITERAL = 4, 1 -- units: cost of a recursive call of the matcher, and of comparing one octet
local MEAN = 0.6 -- attempts at all positions of n octets cost about as much as n attempts on this fraction of them

local patterns = { QUICK = QUICK, SLOW = SLOW, TRY = TRY, LONGEST = LONGEST, MAX_CACHED = MAX_CACHED }

-- Costs

local ALL = items_of('.', 1)[1].class.octets
local MAY_BE_EMPTY = { ['*'] = true, ['-'] = true, ['?'] = true, open = true, close = true, position = true }

-- Stores in each item what is known about the items after it: `is_sure` if they cannot fail, `is_apart` if no octet of
-- this item can start them, and `glance`, the cost of testing that.
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
      check_time()
    end
  end
end

-- Each entry returns three costs: of a failed attempt, the fixed part of a successful attempt, and its part per octet.
-- The parameters are the same three costs for the items after this one, then the mean cost of failure, and the number
-- of octets.
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

-- Returns the three costs of the whole pattern, and the mean cost of failure.
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

-- Returns the costs of one match, of all matches, and of a match at one position, in a subject of n octets.
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

-- Returns the longest subject whose cost is within a bound. `costs` has the cost for each of `lengths`. On a
-- logarithmic scale the cost is convex, so linear interpolation between two lengths is an upper bound.
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

-- Stores the longest subjects that need no time check, and those that C may match after one time check.
local function bound(known, items)
  local once, every, at = {}, {}, {}
  for place = 1, #lengths do
    once[place], every[place], at[place] = costs_in(items, lengths[place], known.is_anchored)
  end
  known.quick, known.quick_every = longest(once, QUICK), longest(every, QUICK)
  known.once, known.every, known.at = longest(once, SLOW), longest(every, SLOW), longest(at, SLOW)
end

-- Returns whether a pattern has no special characters, so that string.find searches for it as plain text.
function patterns.is_plain(pattern)
  return not find(pattern, '[%^$*+?.(%[%%-]')
end

-- Returns the items of an analysed pattern.
function patterns.items(known)
  local pattern = known.pattern
  if #pattern > LONGEST and patterns.is_plain(pattern) and not find(pattern, ')', 1, true) then
    return { { kind = 'literal', text = pattern } }
  end
  return (items_of(pattern, known.is_anchored and 2 or 1))
end

-- Stores the bounds of a pattern without repeated items, which has the same cost at each position.
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
    known.is_valid = true
    return bound_at_once(known, TRY + octets * LITERAL)
  end
  local items, captures, is_valid = items_of(pattern, known.is_anchored and 2 or 1)
  known.captures, known.is_valid = captures, is_valid and #items < MAX_ITEMS
  if not find(pattern, '[*+?-]') and not find(pattern, '%%[b%d]') then
    local _, _, at = costs_in(items, 1)
    return bound_at_once(known, at)
  elseif octets <= LONGEST then
    patterns.look_ahead(items)
    bound(known, items)
    return known
  end
  known.is_valid, known.quick, known.quick_every, known.once, known.every, known.at = false, 0, 0, 1, 1, 1
  return known
end

-- Analyses a pattern; a pattern for string.gmatch must not have an anchor. Returns a table with the longest subjects
-- that C certainly handles in time: `once` for one match, `every` for all matches, `at` for a match at one position,
-- which costs at least the fraction `share` of the budget between two time checks. `quick` and `quick_every` are the
-- same limits for subjects that need no time check. `is_valid` means that the pattern cannot raise an error.
function patterns.analysed(pattern)
  check_time()
  local octets = #pattern
  if is_5_1 then
    pattern = match(pattern, '^%Z*') -- in LuaJIT, a zero octet ends the pattern
  end
  local known = analysed(pattern, octets)
  -- string.find may be called with the flag for plain text.
  known.quick = min(known.quick, floor(QUICK / (TRY + octets / 8)))
  return known
end

return patterns
