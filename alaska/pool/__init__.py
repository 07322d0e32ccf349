"""The pool that runs scripts: slots, their queue, batches, and child processes (``worker/pool/isolation = process``).

May import Lua and what is below it, but not the worker. Begin with :mod:`alaska.pool.pool`.
"""
