
local seen = {}
local function walk(value)
  if type(value) ~= 'table' or seen[value] then return end
  seen[value] = true
  for key, item in next, value do
    print(key)
    walk(item)
  end
  walk(getmetatable(value))
end
walk(_G)
walk(getmetatable(''))
