
io.stdout:write(nil)
