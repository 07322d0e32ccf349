"""ZeroMQ under Twisted: the only package that imports txZMQ.

May import the configuration and what is below it. Begin with :mod:`alaska.links.network`.
"""

from alaska.links.network import Network, default_reactor
from alaska.links.router import RouterLink
from alaska.links.sharing import sharing_networks

__all__ = ["Network", "RouterLink", "default_reactor", "sharing_networks"]
