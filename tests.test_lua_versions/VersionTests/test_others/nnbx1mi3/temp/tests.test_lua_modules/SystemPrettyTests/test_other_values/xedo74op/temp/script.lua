
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print(w(setmetatable({}, { __index = function(_, i) return i < 3 and i or nil end })))
            