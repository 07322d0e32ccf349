local function deep()
  error('broken')
end
local function f()
  deep()
  return 1
end
f()
