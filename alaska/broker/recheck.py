"""Ends what a session has, and new access rules do not allow any more."""

from __future__ import annotations

from alaska.access import Verb
from alaska.broker.access_control import AccessControl
from alaska.broker.clients import Client
from alaska.broker.pattern_limits import PatternLimits
from alaska.broker.queues import Queues
from alaska.broker.streams import Streams


def end_what_is_refused(
    client: Client, access: AccessControl, streams: Streams, queues: Queues, patterns: PatternLimits
) -> None:
    """End the readers and offers of a client for which it has no right, and refuse what it sends to such a stream.

    It keeps the requests that it has not confirmed.
    """
    if client.stream is not None and not access.may_keep(client, Verb.WRITE, client.stream):
        client.is_write_refused = True
    for stream in streams.read_by(client):
        if not access.may_keep(client, Verb.READ, stream):
            streams.cancel(stream, client)
            patterns.cancel(client, stream)
    for service in queues.offered_by(client):
        if not access.may_keep(client, Verb.OFFER, service):
            queues.withdraw_offer(service, client)
            patterns.cancel(client, service, is_stream=False)
