local function f()
  error('oh no')
end
f()