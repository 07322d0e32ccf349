local cjson = require 'cjson'
local x = cjson.encode(print)
