
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(w({ 1, a = 2, [true] = 3 }, true))
            