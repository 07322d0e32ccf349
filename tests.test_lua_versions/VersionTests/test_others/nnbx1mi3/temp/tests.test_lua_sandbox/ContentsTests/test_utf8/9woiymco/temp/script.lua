
            local s = 'aé€😀'
            print(utf8.char(97, 0xe9, 0x20ac, 0x1f600) == s, utf8.len(s), utf8.len('\255'), utf8.len(s, 3))
            print(utf8.codepoint(s, 1, -1)) print(utf8.codepoint(s, -4))
            for p, c in utf8.codes(s) do io_ = (io_ or '') .. p .. ':' .. c .. ' ' end print(io_)
            print(utf8.offset(s, 3), utf8.offset(s, -1), utf8.offset(s, 0, 3), utf8.offset(s, 5), utf8.offset(s, 6))
            for c in s:gmatch(utf8.charpattern) do send(c, '') end
            print((pcall(utf8.codepoint, '\255')), (pcall(utf8.char, -1)), (pcall(utf8.len, s, 99)), utf8.len(''))
            print((pcall(utf8.codepoint, '\xed\xa0\x80')), utf8.codepoint('\xed\xa0\x80', 1, 1, true))
        