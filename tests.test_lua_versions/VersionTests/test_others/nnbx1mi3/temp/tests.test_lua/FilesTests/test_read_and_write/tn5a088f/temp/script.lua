
            local path = 'tests.test_lua/FilesTests/test_read_and_write/tn5a088f/temp/data.txt'
            local file = assert(io.open(path, 'w')) file:write('one\ntwo\n') file:close()
            for line in io.lines(path) do print(line) end
            io.output(path) io.write('three') io.close() io.output(io.stdout)
            io.input(path) print(io.read('a'))
            print(io.type(file), (select(2, io.open('/nowhere/x'))))
        