
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(w({ [1.5] = 1 }), w({ [-1] = 1 }))
            