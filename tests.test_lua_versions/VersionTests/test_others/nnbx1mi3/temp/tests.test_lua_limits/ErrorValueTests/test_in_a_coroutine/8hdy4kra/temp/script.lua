local f = coroutine.wrap(function()
  local x = nil
  return x.y
end)
f()