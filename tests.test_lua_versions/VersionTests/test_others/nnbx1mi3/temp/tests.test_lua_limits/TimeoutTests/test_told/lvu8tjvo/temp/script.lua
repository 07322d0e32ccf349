local function f()
  while true do
  end
end
f()