"""ZeroMQ without an event loop of its own: connections, security, addresses; and sockets in asyncio.

May import ``config`` and what is below. It does not import Twisted or txZMQ; :mod:`alaska.links` puts it into the
reactor. Begin with :mod:`alaska.sockets.dealer`.
"""
