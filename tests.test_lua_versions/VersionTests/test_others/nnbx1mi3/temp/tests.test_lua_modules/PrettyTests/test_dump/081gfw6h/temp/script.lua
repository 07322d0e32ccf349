
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(pretty.dump({ 1 }, '/nowhere/x'))
            