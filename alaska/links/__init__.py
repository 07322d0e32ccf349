"""ZeroMQ under Twisted: the only package that touches txZMQ."""

from alaska.links.network import Network, RouterLink, default_reactor

__all__ = ["Network", "RouterLink", "default_reactor"]
