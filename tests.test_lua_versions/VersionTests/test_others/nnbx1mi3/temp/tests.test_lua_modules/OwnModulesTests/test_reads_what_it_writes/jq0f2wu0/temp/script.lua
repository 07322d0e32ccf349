
            local cjson, pretty = require 'cjson', require 'pl.pretty'
            local text = pretty.write({ (cjson.decode(alaskaContext)) })
            io.write(cjson.encode(assert(pretty.read(text))))
        