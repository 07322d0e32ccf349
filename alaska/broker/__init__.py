"""The broker: its rules, the Twisted service that runs them, and ``twistd malamute``.

May import the administration and what is below it. The rules use neither sockets nor clocks:
:mod:`~alaska.broker.service` has the sockets, the clock and the store, which :mod:`~alaska.broker.tap` makes. Begin
with :mod:`alaska.broker.broker`, which gets each command first.
"""
