
            io.write('a', 1, 1.5) print('b') io.stdout:write('c', 2):write('d') io.stderr:write('e\n')
            warn('off') warn('@on') warn('f', 'g') warn('@off') warn('off')
        