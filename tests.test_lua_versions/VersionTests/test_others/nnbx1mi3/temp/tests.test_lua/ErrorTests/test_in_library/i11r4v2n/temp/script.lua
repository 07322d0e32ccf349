
string.rep()
