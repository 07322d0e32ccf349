local cjson = require 'cjson'
local pretty = require 'pl.pretty'

local order = cjson.decode('{"item":"lamp","count":2,"note":null}')
if order.note == cjson.null then
  order.note = 'none'
end
pretty.dump(order)
send('order', cjson.encode(order), 'orders')
