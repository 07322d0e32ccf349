"""The broker: its rules, the Twisted service that runs them, and ``twistd malamute``.

The rules use neither sockets nor clocks: :mod:`~alaska.broker.service` has the sockets, the clock and the store. Only
:mod:`~alaska.broker.tap` imports the links, the store and the daemon. Begin with :mod:`alaska.broker.broker`, which
gets each command first.
"""
