
local function f() error('oh no', 0) end
f() return 1