-- A system module for tests: returns its globals.
return getfenv and getfenv(1) or _ENV
