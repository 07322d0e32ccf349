"""Ends what a session has, and new access rules do not allow any more."""

from __future__ import annotations

from alaska import errors
from alaska.access import Verb
from alaska.broker.access_control import AccessControl, refusal
from alaska.broker.clients import Client
from alaska.broker.pattern_limits import PatternLimits
from alaska.broker.queues import Queues
from alaska.broker.streams import Streams
from alaska.mlm import commands as mlm


def end_what_is_refused(
    client: Client, access: AccessControl, streams: Streams, queues: Queues, patterns: PatternLimits
) -> None:
    """End the readers and offers of a client for which it has no right, and refuse what it sends to such a stream.

    It keeps the requests that it has not confirmed. A worker of the second edition is told about its offers.
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
            if client.has_properties and client.credit is not None:
                # A worker that is not told waits for requests that never come.
                client.send(mlm.Confirm(b"", errors.ACCESS_REFUSED, refusal(client.user, Verb.OFFER, service)))
            patterns.cancel(client, service, is_stream=False)
