"""The ``alas`` command line, with each command in a file of its own.

May import everything but the testing tools. Begin with :mod:`alaska.commands.alas`.
"""
