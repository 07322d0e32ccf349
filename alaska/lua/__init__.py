"""Finds the script for a subject and runs it in Lua, without the pool of threads.

May import the configuration and what is below it; only :mod:`~alaska.lua.lua_versions` imports lupa.
Begin with :mod:`alaska.lua.runner`. Each folder of Lua files has a README.md.
"""
