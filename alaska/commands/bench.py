"""``alas bench``: how many requests a broker and its workers take, and how long one takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count as numbers
from statistics import quantiles
from typing import Any

import click
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.defer import succeed

from alaska import errors
from alaska.client import Client
from alaska.client.delivery import Confirmation
from alaska.commands import shown, speaking, streams
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.lines import Line, Reading
from alaska.commands.send_many import ManyClient, Plan, Pump
from alaska.commands.values import DURATION, SERVICE, SUBJECT, whole_number
from alaska.interfaces import Reactor

MOST_REQUESTS = 10**9
WINDOW = 1000


_EPILOG = """\
exit status:
  0   all requests have ended well
  1   some have failed
  2   the command line is wrong
  69  the broker does not answer
  77  the broker does not accept the user, or does not allow it

example: alas bench default pi --content '{}' -n 20000"""


@click.command("bench", cls=Command, epilog=_EPILOG)
@click.argument("service", type=SERVICE)
@click.argument("subject", type=SUBJECT)
@click.option(
    "-n", "--count", type=whole_number(1, MOST_REQUESTS), default=10_000, metavar="N", help="Requests (10000)."
)
@click.option("--content", default="{}", metavar="TEXT", help="The content of each ({}).")
@click.option("--window", type=whole_number(1, 100_000), default=WINDOW, metavar="N", help="Unconfirmed ones (1000).")
@click.option("--lone", type=whole_number(0, 10_000), default=100, metavar="N", help="Then so many, one by one (100).")
@click.option("--wait", type=DURATION, default=30.0, metavar="TIME", help="How long one of these may take (30s).")
@shown.json_option
@broker_options
def bench(
    connection: Connection, service: str, subject: str, count: int, content: str, window: int, lone: int, wait: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Send many requests to a SERVICE, and measure how many end in a second, and how long one takes.

    The script of the SUBJECT runs for each: choose one that does no harm.
    """
    octets = content.encode("utf-8", "surrogateescape")
    pumps: list[Pump] = []

    async def talk(client: Client, reactor: Reactor) -> int:
        assert isinstance(client, ManyClient)
        client.give_credit(0)
        plan = Plan(service, subject, {}, window, until_end=True)
        pump = Pump(reactor, plan, Repeated(octets, count), lambda _counts: None)
        pumps.append(pump)
        began = reactor.seconds()
        await pump.run(client)
        seconds = reactor.seconds() - began
        times = await _lone(client, reactor, (service, subject, octets), lone, wait)
        _print(pump, seconds, times, as_json)
        return 1 if pump.counts.failed else 0

    def confirmed(confirmation: Confirmation) -> None:
        if pumps:
            pumps[0].confirmed(confirmation)

    speaking.speak(connection, talk, make=ManyClient, address=speaking.own_address(connection), confirmed=confirmed)


class Repeated(Reading):
    """The same content, so many times."""

    def __init__(self, content: bytes, count: int) -> None:
        self._left: Iterator[Line] = (Line(number, 0, content) for number, _ in zip(numbers(1), range(count)))

    def next(self) -> Any:  # noqa: ANN401  # a Deferred that has fired
        """Return the next line, or None at the end."""
        return succeed(next(self._left, None))


async def _lone(
    client: Client, reactor: Reactor, request: tuple[str, str, bytes], count: int, wait: float
) -> list[float]:
    """Send requests one by one; return how long each took, in seconds."""
    times: list[float] = []
    for _ in range(count):
        began = reactor.seconds()
        try:
            await client.ask(*request, timeout=wait)
        except (errors.Refused, DeferredTimeout) as error:
            streams.write_line(f"alas: a request has failed: {error}", sys.stderr)
            break
        times.append(reactor.seconds() - began)
    return times


def _print(pump: Pump, seconds: float, times: list[float], as_json: bool) -> None:
    counts = pump.counts
    # The smallest and largest of few are not their percentiles.
    cuts = quantiles(times, n=100, method="inclusive") if len(times) > 1 else [*times * 99]
    p50, p99 = (cuts[49], cuts[98]) if cuts else (None, None)
    if as_json:
        found = {"sent": counts.sent, "ended": counts.confirmed, "failed": counts.failed, "seconds": seconds}
        streams.write_line(
            shown.lines(
                [{**found, "per_second": counts.confirmed / seconds if seconds else None, "p50": p50, "p99": p99}]
            )
        )
        return
    streams.write_line(counts.summary(seconds, "ended well"))
    if times:
        streams.write_line(f"one by one: {shown.seconds(p50)} (half of {len(times)}), {shown.seconds(p99)} (99 %)")
