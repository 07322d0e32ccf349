-- The script of `alas check`, and of a worker that checks its scripts. With one frame it prints the names of all globals; with two frames (name, source) it
-- prints why the source does not compile, if it does not.
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
