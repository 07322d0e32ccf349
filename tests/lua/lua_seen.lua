-- A module of the system, for tests: its globals, as it sees them.
return getfenv and getfenv(1) or _ENV
