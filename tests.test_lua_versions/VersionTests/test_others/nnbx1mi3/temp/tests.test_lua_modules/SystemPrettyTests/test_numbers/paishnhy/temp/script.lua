
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(w({ 1/0, -1/0, 0/0 }))
            