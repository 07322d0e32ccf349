"""The client of the broker for programs that use asyncio. It imports neither Twisted nor txZMQ.

May import ``sockets`` and what is below it. Begin with :class:`alaska.aio.client.Client`.
"""

from alaska.aio.client import Client
from alaska.aio.deliveries import Inbox
from alaska.aio.tail import Tail
from alaska.errors import Reject, Retry, Snooze
from alaska.messaging.delivery import Confirmation, Delivery, Progress
from alaska.messaging.requests import Request

__all__ = [
    "Client",
    "Confirmation",
    "Delivery",
    "Inbox",
    "Progress",
    "Reject",
    "Request",
    "Retry",
    "Snooze",
    "Tail",
]
