"""What administrators see of bindings, and do with them."""

from __future__ import annotations

from alaska import errors
from alaska.admin import requests, stream_snapshots
from alaska.admin import snapshots as shown
from alaska.admin.pages import Key, Matches, Work, matcher, page_of
from alaska.admin.text import to_name, to_text
from alaska.broker.binding import Binding, BindingKey
from alaska.broker.broker_state import BrokerState
from alaska.errors import OperationFailed, PatternError, Refused
from alaska.mlm.commands import LIVE_ONLY

LIVE_NOTE = (
    "the stream stores no records (mlm_server/stream/retain): the service gets new ones only, and those for which its "
    "queue has no room are lost"
)


class BindingOperations:
    """The operations on the bindings of a broker."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._bindings = state.bindings

    def page(self, query: requests.Query, matches: Matches | None = None) -> Work[shown.Page[stream_snapshots.Binding]]:
        """Return a page of the bindings; ``match``, or else ``matches``, is for the name of the stream or service."""
        matches = matches or matcher(query.match)
        bindings = [binding.key for binding in self._bindings]
        keys = (key if matches is None or matches(key.stream) or matches(key.service) else None for key in bindings)

        def show(key: Key) -> stream_snapshots.Binding | None:
            binding = self._bindings.get(BindingKey(*key))
            return None if binding is None else self._show(binding)

        return (yield from page_of(keys, query, (bytes, bytes, bytes), show))

    def _show(self, binding: Binding) -> stream_snapshots.Binding:
        return stream_snapshots.Binding(
            stream=to_text(binding.key.stream),
            service=to_text(binding.key.service),
            pattern=to_text(binding.key.pattern),
            position=binding.position,
            lag=binding.lag,
            live=not binding.stream.is_retained,
            full=not self._bindings.is_open(binding),
            unfinished=self._bindings.unfinished(binding),
            made=binding.made,
            lost=binding.lost,
            skipped=binding.skipped,
            since=binding.since,
            by=binding.by,
        )

    def bind(self, request: requests.NewBinding, who: str) -> shown.Done:
        """Bind a stream to a service."""
        key = _key(request)
        position = LIVE_ONLY if request.position == "new" else request.position
        try:
            is_new = self._bindings.bind(key, position, who)
        except (PatternError, Refused) as error:
            raise OperationFailed(str(error), error.status) from None
        stream, binding = self._state.streams.get(key.stream), self._bindings.get(key)
        notes = []
        if not is_new and binding is not None:
            notes.append(f"it is bound already, and goes on at position {binding.position}")
        if stream is not None and not stream.is_retained:
            notes.append(LIVE_NOTE)
        if not self._state.store.is_durable:
            notes.append("until the broker ends")
        return shown.Done(note="; ".join(notes))

    def unbind(self, request: requests.OneBinding) -> shown.Done:
        """End a binding."""
        if not self._bindings.unbind(_key(request)):
            raise OperationFailed("there is no such binding", errors.NOT_FOUND)
        return shown.Done()


def _key(request: requests.OneBinding) -> BindingKey:
    return BindingKey(to_name(request.stream), to_name(request.service), to_name(request.pattern))
