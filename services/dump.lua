-- Service "dump": prints the content of a request.
--
-- The content has to be JSON. It is decoded to a Lua table and printed between two lines of dashes.

local cjson = require 'cjson'
local pretty = require 'pl.pretty'

local rule = ('-'):rep(80)

-- alaskaContext is the content of the request, a string. If it is not valid JSON, decode raises an error: the request
-- ends here, and the error goes to the error mailbox.
local context = cjson.decode(alaskaContext)

print(rule)
print('Context dump from Lua:')
pretty.dump(context)
print(rule)
