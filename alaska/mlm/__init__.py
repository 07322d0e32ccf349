"""The Malamute protocol: commands, codec, patterns, and the state machines of client and broker, without sockets or
clocks.

May import only the errors. Begin with :mod:`alaska.mlm.commands`, the table of all commands and their fields.
"""
