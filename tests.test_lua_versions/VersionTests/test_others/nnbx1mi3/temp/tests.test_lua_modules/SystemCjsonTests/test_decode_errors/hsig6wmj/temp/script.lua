
                local cjson = require 'cjson'
                local function shown(ok, ...) if ok then return ... end return 'error: ' .. ... end
                local function e(...) return shown(pcall(cjson.encode, ...)) end
                local function d(...) return shown(pcall(cjson.decode, ...)) end
                print(d(('['):rep(1001)))
            