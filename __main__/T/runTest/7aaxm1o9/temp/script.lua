
        local function f()
          pcall(function()
            local x <close> = setmetatable({}, { __close = function() f() error 'x' end })
            error 'y'
          end)
        end
        while true do f() end