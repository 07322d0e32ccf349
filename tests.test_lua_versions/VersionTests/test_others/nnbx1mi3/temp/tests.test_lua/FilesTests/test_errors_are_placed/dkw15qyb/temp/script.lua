
io.output('/nowhere/x')
