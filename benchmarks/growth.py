"""How cost grows with subscriptions, clients, queue depth, delayed requests, content size and threads; idle workers."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from alaska.mlm import commands
from benchmarks import mlm
from benchmarks.measure import ask
from benchmarks.statistics import Spread
from benchmarks.usage import resident_of
from benchmarks.wire import Peer, new_context
from benchmarks.work import FIRST
from benchmarks.workspace import Program, Unavailable, Workspace

MESSAGES = 4000
SUBJECTS = 16
IDLE_SECONDS = 10.0
STARTS = 5
SENT_PER_SECOND = 8000
"""Delayed requests are due when so many could be sent in each second, and a bit later."""


@dataclass(frozen=True, slots=True)
class Series:
    """One table of the report: for each step of a growing quantity, the measured values with their units."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def all_series(note: Callable[[str], None], quick: bool) -> list[Series]:
    """Measure all series; a quick run leaves out the last and longest step of each."""
    found = []
    for measure, steps in (
        (subscriptions, [1, 10, 100, 1_000, 10_000]),
        (clients, [10, 100, 500, 1_000, 2_000]),
        (depth, [1_000, 10_000, 100_000, 1_000_000]),
        (delayed, [1_000, 10_000, 100_000, 1_000_000]),
        (content, [10, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]),
        (threads, [1, 2, 4, 8]),
    ):
        try:
            found.append(measure(steps[:-1] if quick else steps))
        except Unavailable as reason:
            note(f"series {measure.__name__}: skipped, {reason}")
    found.append(idle())
    return found


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _megabytes(octets: float) -> str:
    return f"{octets / 2**20:.0f} MB"


def subscriptions(steps: list[int]) -> Series:
    """Measure messages a second to one reader with ``step`` patterns; each message matches one of them."""

    def measure(workspace: Workspace, endpoint: str, step: int, broker: Program) -> Iterator[str]:
        context = new_context()
        with Peer(context, endpoint) as reader, Peer(context, endpoint) as writer:
            for number in range(step):
                reader.send(commands.StreamRead(b"growth", b"^subject-%d$" % number))
            reader.await_type(commands.Ok, step)
            writer.send(commands.StreamWrite(b"growth"))
            writer.await_type(commands.Ok)
            start = time.perf_counter()
            for number in range(MESSAGES):
                subject = b"subject-%d" % (number % min(step, SUBJECTS))
                writer.send(commands.StreamSend(subject, (b"12345678",)))
            reader.await_type(commands.StreamDeliver, MESSAGES)
            yield _number(MESSAGES / (time.perf_counter() - start))
        context.term()
        yield _megabytes(resident_of(broker.process.pid))

    return _measure_brokers("Subscriptions of a reader", ("messages/s", "broker"), steps, measure)


def clients(steps: list[int]) -> Series:
    """Measure confirmed requests a second from ``step`` open clients that take turns."""

    def measure(workspace: Workspace, endpoint: str, step: int, broker: Program) -> Iterator[str]:
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        context = new_context()
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(context, endpoint, 0)) for _ in range(step)]
            taker = stack.enter_context(Peer(context, endpoint, step))
            taker.send(commands.ServiceOffer(b"growth", b""))
            taker.await_type(commands.Ok)
            start = time.perf_counter()
            done = 0
            while done < MESSAGES:
                turn = peers[: MESSAGES - done]
                for number, peer in enumerate(turn):
                    peer.send(commands.ServiceSend(b"growth", b"x", b"%d" % number, 0, (b"12345678",)))
                for _ in turn:
                    delivery = taker.receive()
                    assert isinstance(delivery, commands.ServiceDeliver)
                    taker.send(commands.Confirm(delivery.tracker, 200, b""))
                taker.send(commands.Credit(len(turn)))
                for peer in turn:
                    peer.await_final(1)
                done += len(turn)
            yield _number(MESSAGES / (time.perf_counter() - start))
        context.term()
        yield _megabytes(resident_of(broker.process.pid))

    return _measure_brokers("Open clients", ("requests/s", "broker"), steps, measure, has_c=False)


def depth(steps: list[int]) -> Series:
    """Measure requests a second into a queue without a worker, and then out of it."""

    def measure(workspace: Workspace, endpoint: str, step: int, broker: Program) -> Iterator[str]:
        report = ask([mlm.peer(), "send", endpoint, mlm.SERVICE, "x", str(FIRST), str(step), "0"], workspace, "depth")
        yield _number(step / (report.stop - report.start) * 1e9)
        yield _megabytes(resident_of(broker.process.pid))
        taker = [mlm.peer(), "take", endpoint, mlm.SERVICE, str(step), "4000"]
        report = ask(taker, workspace, "depth")
        yield _number(step / (report.stop - report.start) * 1e9)

    columns = "in, requests/s", "broker when full", "out, requests/s"
    return _measure_brokers("Depth of a queue", columns, steps, measure, has_c=False)


def delayed(steps: list[int]) -> Series:
    """Measure requests that are due at the same time: into a durable store, its restart, and out of it."""
    rows = []
    for step in steps:
        endpoint = mlm.new_endpoint()
        with Workspace() as workspace:
            broker = mlm.our_broker(workspace, endpoint, durable=True)
            due = time.time() + 5 + step / SENT_PER_SECOND
            later = [mlm.peer(), "later", endpoint, mlm.SERVICE, "x", str(FIRST), str(step), f"{due * 1000:.0f}"]
            sent = ask(later, workspace, "delayed")
            workspace.stop(broker)
            start = time.perf_counter()
            broker = mlm.our_broker(workspace, endpoint, durable=True)
            started = time.perf_counter() - start
            resident = resident_of(broker.process.pid)
            time.sleep(max(0.0, due - time.time()))
            before = broker.usage.cpu_seconds
            taken = ask([mlm.peer(), "take", endpoint, mlm.SERVICE, str(step), "4000"], workspace, "delayed")
            spent = broker.usage.cpu_seconds - before
            peak = broker.usage.peak_octets
        rates = [_number(step / (each.stop - each.start) * 1e9) for each in (sent, taken)]
        microseconds = f"{spent / step * 1e6:.0f} µs"
        memory = [_megabytes(octets) for octets in (resident, peak)]
        rows.append((_number(step), rates[0], f"{started:.2f} s", memory[0], rates[1], microseconds, memory[1]))
    columns = "", "in, requests/s", "restart", "broker then", "out, requests/s", "processor a request", "broker, peak"
    return Series("Delayed requests in a durable store, all due at once", columns, tuple(rows))


def content(steps: list[int]) -> Series:
    """Measure requests a second with ``step`` octets of content, to a script that does nothing."""

    def measure(workspace: Workspace, endpoint: str, step: int, broker: Program) -> Iterator[str]:
        worker = mlm.our_worker(workspace, endpoint)
        context = new_context()
        count = max(8, min(MESSAGES, 100_000_000 // step))
        octets = b"x" * step
        with Peer(context, endpoint, 0) as peer:
            start = time.perf_counter()
            for number in range(count):
                peer.send(commands.ServiceSend(b"bench", b"noop", b"%d" % number, 0, (octets,)))
                if number >= 4:
                    peer.await_final(1)
            peer.await_final(4)
            seconds = time.perf_counter() - start
        context.term()
        yield _number(count / seconds)
        yield f"{count * step / seconds / 1e6:.1f} MB/s"
        yield _megabytes(broker.usage.peak_octets)
        yield _megabytes(worker.usage.peak_octets)

    columns = "requests/s", "content", "broker, peak", "worker, peak"
    return _measure_brokers("Octets of content, four requests under way", columns, steps, measure, has_c=False)


def threads(steps: list[int]) -> Series:
    """Measure requests a second of a computing script, with ``step`` threads in the pool."""
    rows = []
    first = 0.0
    for step in steps:
        endpoint = mlm.new_endpoint()
        with Workspace() as workspace:
            mlm.write_scripts(workspace)
            mlm.our_broker(workspace, endpoint)
            mlm.our_worker(workspace, endpoint, threads=step)
            rates = []
            for run in range(4):
                numbers = str(FIRST + run * 1000), str(200), "64"
                report = ask([mlm.peer(), "send", endpoint, mlm.SERVICE, "compute", *numbers], workspace, "threads")
                rates.append(200 / (report.stop - report.start) * 1e9)
            median = Spread.of(rates[1:]).median
            first = first or median
            rows.append((str(step), _number(median), f"{median / first:.2f}"))
    return Series("Threads of the pool, a script that computes", ("", "requests/s", "times one thread"), tuple(rows))


def idle() -> Series:
    """Measure the cost of an idle worker with an embedded broker, and its startup time."""
    seconds = []
    for _ in range(STARTS):
        with Workspace() as workspace:
            mlm.write_scripts(workspace)
            start = time.perf_counter()
            worker = mlm.our_worker(workspace, mlm.new_endpoint(), embedded=True)
            seconds.append(time.perf_counter() - start)
            if len(seconds) == STARTS:
                time.sleep(1)
                before = worker.usage.cpu_seconds
                time.sleep(IDLE_SECONDS)
                share = (worker.usage.cpu_seconds - before) / IDLE_SECONDS
                resident = resident_of(worker.process.pid)
    ready = Spread.of(seconds)
    rows = (
        ("resident memory", _megabytes(resident)),
        ("share of a core", f"{share:.2%}"),
        ("start to ready, minimum, median, maximum", " / ".join(f"{each:.2f} s" for each in ready)),
    )
    return Series("An idle worker with its broker embedded", ("", "measured"), rows)


def _measure_brokers(
    title: str,
    columns: tuple[str, ...],
    steps: list[int],
    measure: Callable[[Workspace, str, int, Program], Iterator[str]],
    *,
    has_c: bool = True,
) -> Series:
    """Measure each step with a new broker of ours and, if available and comparable, with the C broker."""
    brokers: list[Callable[[Workspace, str], Program]] = [mlm.our_broker, *([mlm.c_broker] if has_c else [])]
    rows = []
    heads = list(columns)
    for step in steps:
        row = [_number(step)]
        for start in brokers:
            endpoint = mlm.new_endpoint()
            with Workspace() as workspace:
                mlm.write_scripts(workspace)
                try:
                    broker = start(workspace, endpoint)
                except Unavailable:
                    row += ["-"] * len(columns)
                    continue
                row += measure(workspace, endpoint, step, broker)
        rows.append(tuple(row))
    if has_c:
        heads += [f"C broker: {column}" for column in columns]
    return Series(title, ("", *heads), tuple(rows))
