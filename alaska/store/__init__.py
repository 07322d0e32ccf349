"""The stores for messages, dead letters and stream records, in memory or in SQLite, and the store of ``alaska.kv``.

SQL is used only in this package. May import the interfaces, the system and what is below them, but not the broker.
Begin with :class:`alaska.interfaces.IStore`, then :mod:`alaska.store.memory`.
"""
