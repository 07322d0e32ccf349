
            local safe = require 'cjson.safe'
            print(safe.decode('x')) print(safe.encode(print)) print(safe.encode({ 1 }))
            print(safe.new().decode('[')) print((pcall(safe.decode)))
        