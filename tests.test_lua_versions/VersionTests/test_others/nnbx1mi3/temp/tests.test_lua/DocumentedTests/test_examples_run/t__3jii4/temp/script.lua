local cjson = require 'cjson.safe' -- returns nil and a message instead of raising errors

local order, message = cjson.decode(alaskaContext)
if not order then
  sendTo('refused', message, 'complaints')
  os.exit()
end
send('accepted', order.item or 'nothing', 'orders')
