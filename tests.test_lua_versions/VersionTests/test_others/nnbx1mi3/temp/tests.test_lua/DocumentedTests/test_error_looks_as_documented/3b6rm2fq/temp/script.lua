
local function check(order)
  if not order.item then
    error('no item')
  end
end
check({})
