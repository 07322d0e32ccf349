
                local cjson = require 'cjson'
                local function shown(ok, ...) if ok then return ... end return 'error: ' .. ... end
                local function e(...) return shown(pcall(cjson.encode, ...)) end
                local function d(...) return shown(pcall(cjson.decode, ...)) end
                print(select(4, true, cjson.encode_sparse_array(nil, nil, 2)), e({ [3] = 1 }))
            