local cjson = require 'cjson'
local x = cjson.decode({})
