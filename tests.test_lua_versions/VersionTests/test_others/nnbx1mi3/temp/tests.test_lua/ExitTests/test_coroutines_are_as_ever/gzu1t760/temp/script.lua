
            print(coroutine.resume(coroutine.create(function() end)))
            print(coroutine.resume(coroutine.create(function(...) return ... end), nil, nil))
            print(coroutine.resume(coroutine.create(function() error('x', 0) end)))
            local co = coroutine.wrap(function(a) local b = coroutine.yield(a) coroutine.yield(b, nil) end)
            print(co(1)) print(co(2)) print(co()) print(pcall(co)) print(select('#', coroutine.wrap(function() end)()))
        