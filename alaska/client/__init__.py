"""The Twisted client for any program: what it sends, what it receives, and what becomes of it.

May import the links and the protocol. Begin with :class:`alaska.client.client.Client`.
"""

from alaska.client.client import Client
from alaska.client.delivery import Confirmation, Delivery, to_octets, to_text

__all__ = ["Client", "Confirmation", "Delivery", "to_octets", "to_text"]
