"""The broker: who is connected, what goes to whom, and the service around it.

Its rules import neither sockets nor clocks; only :mod:`~alaska.broker.service` and :mod:`~alaska.broker.tap` import
links, store and daemon.
Begin with :mod:`alaska.broker.broker`, which sees each command first.
"""
