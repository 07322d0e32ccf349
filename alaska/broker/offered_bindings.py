"""Bindings that clients ask for with offers, and by operations for which they need not be administrators."""

from __future__ import annotations

import msgspec

from alaska import errors
from alaska.admin import requests
from alaska.admin.text import UNREADABLE, to_name
from alaska.broker.access_control import AccessControl
from alaska.broker.binding import BindingKey
from alaska.broker.bindings import Bindings
from alaska.broker.clients import Client
from alaska.broker.pattern_admission import PatternAdmission
from alaska.errors import PatternError, Refused
from alaska.mlm import commands as mlm
from alaska.mlm.properties import to_octets
from alaska.names import printable

PROPERTY = "bind"
"""The property of a SERVICE-OFFER with the streams to bind, in MessagePack: arrays of a stream and a pattern."""
MOST_OF_OFFER = 32


class OfferedBindings:
    """Binds streams for clients that have the rights: to read the stream, and to ask the service."""

    def __init__(self, bindings: Bindings, access: AccessControl, patterns: PatternAdmission) -> None:
        self._bindings = bindings
        self._access = access
        self._patterns = patterns

    def bind_offered(self, client: Client, command: mlm.ServiceOffer) -> bool:
        """Bind the streams that an offer names; if that is not possible, refuse the offer and return False."""
        value = command.properties.get(PROPERTY)
        if value is None:
            return True
        try:
            keys = [BindingKey(stream, command.address, pattern) for stream, pattern in _read(to_octets(value))]
            for stream in {key.stream for key in keys}:
                if not self._access.may_bind(client.user, stream, command.address):
                    names = f"{printable(stream)} to {printable(command.address)}"
                    raise Refused(f"this user may not bind {names}: it needs read and ask", errors.ACCESS_REFUSED)
            self._bindings.bind_all(keys, 0, client.name)
        except (Refused, PatternError) as error:
            self._patterns.refuse(client, error)
            return False
        return True

    def may_perform(self, client: Client, operation: str, content: bytes) -> bool:
        """Return whether a client may perform an operation although it may not administer the broker."""
        if operation != "bind" or not self._access.is_active:
            return False
        try:
            request = msgspec.json.decode(content, type=requests.NewBinding)
        except UNREADABLE:
            return False
        return self._access.may_bind(client.user, to_name(request.stream), to_name(request.service))


def _read(value: bytes) -> list[tuple[bytes, bytes]]:
    try:
        pairs = msgspec.msgpack.decode(value, type=list[tuple[bytes, bytes]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"the property {PROPERTY} cannot be read: {error}", errors.FAILED) from None
    if len(pairs) > MOST_OF_OFFER:
        raise Refused(f"an offer can bind {MOST_OF_OFFER} streams", errors.FAILED)
    return pairs
