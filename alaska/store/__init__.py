"""Where the broker stores messages, dead letters and stream records: in memory or in SQLite.

SQL is in this package only. May import the interfaces and what is below them, but no rule of the broker.
Begin with :class:`alaska.interfaces.IStore`, then :mod:`alaska.store.memory`.
"""
