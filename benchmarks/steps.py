"""``python -m benchmarks.steps``: the cost of single steps of a request, each alone, in µs of processor time.

The figures of [PROFILE.md](PROFILE.md) come from here. A step is repeated many times, and the best of several rounds
counts, because disturbances only make it longer.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import zmq
from zope.interface import implementer

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.daemon.log_lines import LineObserver
from alaska.interfaces import IRouter
from alaska.lua.request import Request
from alaska.lua.runner import ScriptSettings
from alaska.mlm import commands as mlm
from alaska.mlm.codec import decode, encode
from alaska.store.memory import MemoryStore
from alaska.system.frequent import Records
from alaska.worker.request_log import RequestLog

ROUNDS = 7
TIMES = 5000

Step = tuple[str, Callable[[], object]]

_SEND = mlm.ServiceSend(b"bench", b"noop", b"10000000", 0, (b"12345678",))
_DELIVER = mlm.ServiceDeliver(b"", b"bench", b"noop", b"10000000", (b"12345678",))
_CONFIRM = mlm.Confirm(b"10000000", 200, b"")


def cost(step: Callable[[], object]) -> float:
    """Return the cost of a step, in µs of processor time."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(TIMES):
            step()
        best = min(best, time.thread_time() - start)
    return best / TIMES * 1e6


def codec_steps() -> Iterator[Step]:
    """Encode and decode the three commands of a request."""
    for command in (_SEND, _DELIVER, _CONFIRM):
        frames = encode(command)
        name = mlm.NAMES[type(command)]
        yield f"write {name}", partial(encode, command)
        yield f"read {name}", partial(decode, frames)


def socket_steps() -> Iterator[Step]:
    """Send two frames with pyzmq's own function, and frame by frame as ``alaska/links/sockets.py`` does."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    for name, send in (("pyzmq's send_multipart", _send_multipart), ("frame by frame", _send_frames)):
        receiver, sender = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        sender.set(zmq.SNDHWM, 0)
        receiver.set(zmq.RCVHWM, 0)
        receiver.bind(f"inproc://{id(receiver)}")
        sender.connect(f"inproc://{id(receiver)}")
        frames = encode(_SEND)
        yield f"send two frames, {name}", partial(send, sender, frames)
        receiver.close(0)
        sender.close(0)
    context.destroy(0)


def _send_multipart(sender: zmq.Socket[bytes], frames: list[bytes]) -> None:
    sender.send_multipart(frames, zmq.NOBLOCK)


def _send_frames(sender: zmq.Socket[bytes], frames: list[bytes]) -> None:
    zmq.backend.Socket.send(sender, frames[0], int(zmq.NOBLOCK | zmq.SNDMORE))
    zmq.backend.Socket.send(sender, frames[1], int(zmq.NOBLOCK))


def _log_requests(log: RequestLog, observer: LineObserver) -> None:
    _request_number[0] += 1
    request = Request(b"client", b"bench", b"noop", b"tracker-%d" % _request_number[0], (b"12345678",))
    log.begun(request)
    log.ended(request, "ok", 0.001)
    if _request_number[0] % 100 == 0:
        observer.flush()


_request_number = [0]


def worker_steps() -> Iterator[Step]:
    """Log a request, and run a script that does nothing."""
    records = Records()
    observer = LineObserver(io.TextIOWrapper(io.BytesIO()), records=records, when=lambda _flush: None)
    log = RequestLog(records)
    yield "log a request and its end, in groups of 100", partial(_log_requests, log, observer)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "noop.lua").write_text("-- does nothing\n")
        runner = ScriptSettings(os.fsencode(folder)).make_runner(lambda _request, _question: b"")
        request = Request(b"", b"bench", b"noop", b"10000000", (b"12345678",))
        yield "find and run a script that does nothing", lambda: runner.run(request)
        runner.close()


@implementer(IRouter)
class _NullRouter:
    """A router that drops everything, with clients that are always connected."""

    bound = ()
    is_local = is_on_machine = False
    login = ""
    has_users = False

    def user_of(self, _peer: bytes) -> bytes:
        return b""

    def start(
        self, _received: Callable[[bytes, list[bytes]], int | None], _gone: Callable[[bytes, bool], None]
    ) -> None:
        pass

    def send(self, _peer: bytes, _frames: list[bytes]) -> bool:
        return True

    def send_with_proof(self, _peer: bytes, _frames: list[bytes]) -> Callable[[], bool]:
        return lambda: True

    def post(self, _peer: bytes, _frames: list[bytes]) -> None:
        pass

    def post_from(self, _peer: bytes, take: Callable[[], list[list[bytes]]]) -> None:
        take()

    def close(self) -> None:
        pass


def broker_steps() -> Iterator[Step]:
    """Accept a request, deliver it and handle its confirmation, without the cost of sockets."""
    broker = Broker(_NullRouter(), Limits(), MemoryStore())
    for peer, commands in (
        (b"producer", (mlm.ConnectionOpen(b""), mlm.Credit(0))),
        (b"worker", (mlm.ConnectionOpen(b"w"), mlm.Credit(60_000), mlm.ServiceOffer(b"bench", b".*"))),
    ):
        for command in commands:
            broker.received(peer, encode(command), 0.0)
    asked, confirmed = encode(_SEND), encode(_CONFIRM)

    def serve() -> None:
        broker.received(b"producer", asked, 0.0)
        broker.received(b"worker", confirmed, 0.0)

    yield "the broker's rules for a request", serve


def main() -> None:
    """Print a table of all steps."""
    print("| step | µs |\n| --- | --- |")
    for steps in (codec_steps, socket_steps, worker_steps, broker_steps):
        for name, step in steps():
            print(f"| {name} | {cost(step):.2f} |", flush=True)


if __name__ == "__main__":
    main()
