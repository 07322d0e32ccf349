"""The Twisted client for any program: what it sends, what it gets, and what becomes of it.

May import the protocol and the links. Begin to read with :class:`alaska.client.client.Client`.
"""

from alaska.client.client import Client
from alaska.client.delivery import Confirmation, Delivery, to_octets, to_text

__all__ = ["Client", "Confirmation", "Delivery", "to_octets", "to_text"]
