"""The pool that runs scripts: slots, their queue, batches, and a child process for each slot where that is wanted.

May import Lua and what is below it, but nothing of the worker. Begin with :mod:`alaska.pool.pool`.
"""
