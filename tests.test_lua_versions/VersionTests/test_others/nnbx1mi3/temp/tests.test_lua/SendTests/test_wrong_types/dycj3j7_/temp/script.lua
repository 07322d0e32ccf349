
send('a', 'b', 'c', 'd', {})
