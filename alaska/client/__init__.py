"""The client of the broker for any Twisted program: connection, deliveries, confirmations, trackers.

May import the links and what is below them. Begin with :class:`alaska.client.client.Client`.
"""

from alaska.client.client import Client
from alaska.messaging.delivery import Confirmation, Delivery, to_octets, to_text

__all__ = ["Client", "Confirmation", "Delivery", "to_octets", "to_text"]
