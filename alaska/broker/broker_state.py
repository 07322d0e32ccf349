"""What administration sees of a broker: the objects of its rules, and what is outside of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from alaska.admin.snapshots import Configuration
from alaska.broker.bindings import Bindings
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.flow_control import Flows
from alaska.broker.limits import Limits
from alaska.broker.queues import Queues
from alaska.broker.schedules import Schedules
from alaska.broker.streams import Streams
from alaska.interfaces import IStore


@dataclass
class Outside:
    """What the rules do not know: the endpoints, how many logins were refused, the settings, and how the whole program
    is drained and resumed.
    """

    endpoints: Callable[[], Sequence[str]] = lambda: ()
    logins_refused: Callable[[], Mapping[str, int]] = dict
    configuration: Callable[[], Configuration | None] = lambda: None
    drain: Callable[[], None] | None = None
    resume: Callable[[], None] | None = None


@dataclass
class BrokerState:
    """The parts of a broker.

    ``close_client`` ends a session; ``last_backup`` returns when a backup was read to its end. Times are the broker's.
    """

    clients: Clients
    queues: Queues
    streams: Streams
    counters: Counters
    flows: Flows
    store: IStore
    limits: Limits
    schedules: Schedules
    bindings: Bindings
    close_client: Callable[[Client], None]
    started: float = 0.0
    outside: Outside = field(default_factory=Outside)
    last_backup: Callable[[], float | None] = lambda: None
