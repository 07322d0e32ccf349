"""Lua without Twisted and without a pool: from a subject to a script, and from a script to its outcome.

May import the configuration and what is below it; :mod:`~alaska.lua.interpreter` alone imports lupa.
Begin with :mod:`alaska.lua.runner`; each folder of Lua files has a page of its own.
"""
