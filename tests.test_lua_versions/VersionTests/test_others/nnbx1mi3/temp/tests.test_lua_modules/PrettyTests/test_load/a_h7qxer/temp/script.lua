
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(pretty.load('a = ("x"):rep(3)', nil, true) == nil, ('x'):rep(3))
            