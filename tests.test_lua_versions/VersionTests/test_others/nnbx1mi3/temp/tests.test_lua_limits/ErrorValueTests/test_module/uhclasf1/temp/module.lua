local m = {}
function m.f() error('inside') end
return m