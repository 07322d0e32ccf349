"""The client of the broker for programs that block: scripts, web workers, notebooks. It imports no Twisted.

May import ``aio`` and what is below it. Begin with :class:`alaska.sync.client.Client`.
"""

from alaska.errors import Reject, Retry, Snooze
from alaska.messaging.delivery import Confirmation, Delivery, Progress
from alaska.messaging.requests import Request
from alaska.sync.client import Client
from alaska.sync.iterators import Inbox, Tail

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
