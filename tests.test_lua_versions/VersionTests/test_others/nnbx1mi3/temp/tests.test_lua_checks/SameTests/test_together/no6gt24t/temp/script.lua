do 
print(debug.getinfo(1, 'l').currentline) for i = 1, 1 do
print(debug.getinfo(1, 'l').currentline) end
end
do do local t = { 'do' } print(t[1]) end
end
do local goto = 1 local t = { goto = goto } print(goto, t.goto) goto = 2 print(goto) local a = goto goto = 3 print(a)
end
do -- do
--[[ repeat
 do ]] print(1) --[==[ function( ]] ]==] print(2) --[ do
--[=x do
print(3) --
end