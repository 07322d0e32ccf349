-- Service "dump": shows what a request carries.
--
-- The content has to be JSON. It is decoded to a Lua table and printed, so the worker shows it between two rules.

local cjson = require 'cjson'
local pretty = require 'pl.pretty'

local rule = ('-'):rep(80)

-- alaskaContext is the content of the request, a string. If it is no JSON, decode raises an error: the request ends
-- here, and the error goes to the error mailbox.
local context = cjson.decode(alaskaContext)

print(rule)
print('Context dump from Lua:')
pretty.dump(context)
print(rule)
