"""What the clients for Twisted, asyncio and blocking programs share, without sockets and event loops.

It has the values that programs see, the checks of arguments, and everything that a client does by the protocol. The
clients themselves add a network, and how a program waits. May import ``interfaces`` only for types: a program that
uses asyncio need not load Twisted. Begin with :mod:`alaska.messaging.exchange`.
"""
