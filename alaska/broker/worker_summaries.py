"""What the workers of a broker have told it about themselves, once a second each (:class:`Summary`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from alaska.admin.pages import Key, Work, matcher, page_of
from alaska.admin.requests import MOST_SUMMARY_OCTETS, Query, ScriptQuery, WorkerQuery
from alaska.admin.script_pages import page_of_scripts
from alaska.admin.snapshots import Page, Script, Summary, Worker, WorkerOverview
from alaska.admin.text import UNREADABLE, to_name
from alaska.admin.warnings import MOST_NAMED
from alaska.broker.clients import Client, Clients

MOST_WORKERS = 1000
"""The maximum number of workers whose summaries are kept."""
MOST_SCRIPTS = 100
"""The maximum number of scripts of one worker, and of different scripts of all workers together ten times as many."""
MOST_PROGRESS = 100
"""The maximum number of running requests of one worker whose progress is shown."""
MIN_SECONDS = 0.5
"""A summary that follows another one of the same worker sooner is ignored."""
MOST_REASONS = 32
"""The maximum number of different reasons of errors of a script."""
MOST_NUMBER = 2**53
_NUMBERS: Mapping[str, Callable[[WorkerOverview], float]] = {
    "running": lambda worker: worker.slots.running,
    "queued": lambda worker: worker.slots.queued,
    "succeeded": lambda worker: worker.succeeded,
    "failed": lambda worker: worker.failed,
    "memory": lambda worker: worker.slots.memory,
    "seconds": lambda worker: worker.time - worker.started,
}
"""What workers are sorted by, the largest first."""
_DECODER = msgspec.json.Decoder(Summary)


class WorkerSummaries:
    """The last summary of each worker that is connected."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[int, tuple[float, Summary]] = {}
        # The names of scripts of workers that have some that do not compile.
        self._broken: dict[int, list[str]] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._known)

    def told(self, client: Client, content: bytes, now: float) -> bool:
        """Take over what a worker has told; return whether it was, or ignored since it is invalid or too much."""
        before = self._known.get(client.number)
        if len(content) > MOST_SUMMARY_OCTETS or (before is not None and now - before[0] < MIN_SECONDS):
            return False
        if before is None and len(self._known) >= MOST_WORKERS:
            self._forget()
            if len(self._known) >= MOST_WORKERS:
                return False
        try:
            summary = _DECODER.decode(content)
        except UNREADABLE:
            return False
        if len(summary.progress) > MOST_PROGRESS or len(summary.scripts) > MOST_SCRIPTS:
            return False
        if not all(map(_is_plausible, summary.scripts)):
            return False
        self._known[client.number] = now, summary
        if broken := [each.name for each in summary.scripts if each.broken][:MOST_NAMED]:
            self._broken[client.number] = broken
        else:
            self._broken.pop(client.number, None)
        return True

    def broken_scripts(self) -> list[str]:
        """Return the names of some scripts that do not compile."""
        names: dict[str, None] = {}
        for number, each in self._broken.items():
            if self._clients.by_number(number) is not None:
                names.update(dict.fromkeys(each))
            if len(names) >= MOST_NAMED:
                break
        return list(names)[:MOST_NAMED]

    def _forget(self) -> None:
        """Forget workers that have gone."""
        for number in [each for each in self._known if self._clients.by_number(each) is None]:
            del self._known[number]
            self._broken.pop(number, None)

    def page(self, query: WorkerQuery, time: Callable[[float], float]) -> Work[Page[Worker]]:
        """Return a page of the workers; ``time`` converts the broker's time."""
        self._forget()
        matches = matcher(query.match)

        def is_wanted(number: int) -> bool:
            client = self._clients.by_number(number)
            return client is not None and (matches is None or matches(client.address))

        def show(key: Key) -> Worker | None:
            number = key[-1]
            known = self._known.get(number)
            if known is None:
                return None
            told_at, summary = known
            return Worker(client=number, told=time(told_at), overview=summary.overview, progress=summary.progress)

        page, wanted = Query(after=query.after, limit=query.limit), list(filter(is_wanted, self._known))
        value = _NUMBERS.get(query.sort)
        if value is None:
            return (yield from page_of([(number,) for number in wanted], page, (int,), show))
        keys: list[Key] = [(-_whole(value(self._known[number][1].overview)), number) for number in wanted]
        return (yield from page_of(keys, page, (int, int), show))

    def scripts(self, query: ScriptQuery) -> Work[Page[Script]]:
        """Return a page of the scripts of all workers, added up by name."""
        self._forget()
        matches = matcher(query.match)
        sums: dict[bytes, Script] = {}
        for at, (_, summary) in enumerate(list(self._known.values())):
            if at and not at % 100:
                yield
            for script in summary.scripts:
                name = to_name(script.name)
                if matches is None or matches(name):
                    known = sums.get(name)
                    if known is not None:
                        sums[name] = _sum(known, script)
                    elif len(sums) < 10 * MOST_SCRIPTS:
                        sums[name] = script
        return (yield from page_of_scripts(sums, query))


def _whole(value: float) -> int:
    """Return a number that a worker has told as a whole one, of limited size."""
    return round(min(max(value, 0.0), MOST_NUMBER))


def _is_plausible(script: Script) -> bool:
    """Return whether a script has few reasons of errors, and numbers that can be added to those of other workers."""
    numbers = script.calls, script.seconds, script.memory, script.workers, *script.errors.values()
    return len(script.errors) <= MOST_REASONS and all(0 <= each <= MOST_NUMBER for each in numbers)


def _sum(one: Script, other: Script) -> Script:
    latest = max(one, other, key=lambda each: each.last_error_time or 0.0)
    reasons = [*dict.fromkeys([*one.errors, *other.errors])][:MOST_REASONS]
    return Script(
        name=one.name,
        calls=one.calls + other.calls,
        errors={reason: one.errors.get(reason, 0) + other.errors.get(reason, 0) for reason in reasons},
        seconds=one.seconds + other.seconds,
        memory=max(one.memory, other.memory),
        last_error=latest.last_error,
        last_error_time=latest.last_error_time,
        last_reason=latest.last_reason,
        last_trace=latest.last_trace,
        broken=one.broken or other.broken,
        version=one.version if one.version == other.version else "different",
        changed=max(filter(None, (one.changed, other.changed)), default=None),
        workers=one.workers + other.workers,
    )
