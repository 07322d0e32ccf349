
            local cjson = require 'cjson'
            io.write(cjson.encode(cjson.decode(alaskaContext)))
        