-- Claims the requests that were sent together with the one that has run (alaska/pool/claims.py). Returns a function that
-- claims one more and returns whether that succeeded; nil where the system does not support it.
local open_file, path = ...

local file = path and open_file(path, 'rb')
if not file then
  return nil
end
file:setvbuf 'no' -- each read takes exactly one octet, and leaves the others to be withdrawn
local read = file.read

return function()
  return read(file, 1) == '1'
end
