-- What `alas check` asks of Lua: with one frame, the names of the globals; with two, why a source does not compile.
local name, source = alaska.frames[1], alaska.frames[2]

if not source then
  for known in pairs(_G) do
    print(known)
  end
  print '_ENV'
  return
end

local chunk, message = load(source, name, 't')
if not chunk then
  print(message)
end
