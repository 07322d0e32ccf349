
                local cjson = require 'cjson'
                local function shown(ok, ...) if ok then return ... end return 'error: ' .. ... end
                local function e(...) return shown(pcall(cjson.encode, ...)) end
                local function d(...) return shown(pcall(cjson.decode, ...)) end
                print((function() local n = cjson.new() n.encode_max_depth(1) return n.null == cjson.null end)(), e({ {} }))
            