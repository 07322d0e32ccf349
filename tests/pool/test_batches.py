"""Several requests in one call into Lua: none is lost or run twice, and none waits for one that takes long."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress as ignoring  # trial takes a name "suppress" for its own
from pathlib import Path
from typing import ClassVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import LimitExceeded
from alaska.interfaces import Reactor
from alaska.lua.interpreter import LuaRunner
from alaska.lua.options import LuaOptions
from alaska.lua.questions import OK, TOLD, pack, unpack
from alaska.lua.request import Outcome, Request
from alaska.lua.runner import Versions
from alaska.lua.scripts import Scripts
from alaska.lua.values import OUTCOMES
from alaska.pool.batches import BatchRunner
from alaska.pool.claims import Batch, Claims
from alaska.pool.pool import Pool
from tests import examples
from tests.lua.lua_case import VERSION
from tests.pool.hand_reactor import SECONDS, HandReactor

RUN_OUT = b"0"

SCRIPTS = {
    "quick": "",
    "mentions": "-- alaska, _G\nlocal s = 'alaska' .. [[ _G ]]",
    "tells": "send(alaskaContext, alaskaContext, 'stream')",
    "fails": "error(alaskaContext)",
    # Told only where the context says so: the script has left nothing to be told before.
    "may_fail": "if alaskaContext:find('bad') then error(alaskaContext) end",
    "may_tell": "if alaskaContext:find('told') then print(alaskaContext) end",
    # Waits for a gate: a FIFO of the test, which nothing ends but who opens it.
    "may_wait": "local gate = alaskaContext:match('/.*') if gate then io.open(gate):close() end",
}
NOTE = "local log = io.open('{log}', 'a') log:write(alaskaContext, '\\n') log:close()\n"


class ClaimsTests(SynchronousTestCase):
    """Octets in a pipe."""

    def setUp(self) -> None:
        self.claims = Claims()
        self.addCleanup(self.claims.close)
        self.lua = os.open(self.claims.path, os.O_RDONLY)
        self.addCleanup(os.close, self.lua)

    def test_taken_one_by_one(self) -> None:
        """What is issued can be taken by who opens the path, and is counted down."""
        self.claims.issue(3)
        self.assertEqual(self.claims.left, 3)
        self.assertEqual(os.read(self.lua, 1), b"1")
        self.assertEqual(self.claims.left, 2)

    def test_draw(self) -> None:
        """What was not taken is drawn, and nothing is left; to draw again gives nothing."""
        self.claims.issue(3)
        os.read(self.lua, 1)
        self.assertEqual((self.claims.draw(), self.claims.draw(), self.claims.left), (2, 0, 0))

    def test_withdraw(self) -> None:
        """Who comes for what was withdrawn is told that it is the end; where all was taken, nobody comes."""
        self.claims.issue(2)
        self.assertEqual(self.claims.withdraw(), 2)
        self.assertEqual(os.read(self.lua, 1), RUN_OUT)
        self.assertEqual((self.claims.withdraw(), self.claims.left), (0, 0))

    def test_batch(self) -> None:
        """A batch knows how many have begun: one without a claim, and one for each that is taken."""
        batch = Batch(self.claims, 4)
        self.assertEqual(batch.begun, 1)
        os.read(self.lua, 1)
        self.assertEqual(batch.begun, 2)
        self.assertEqual((batch.withdraw(), batch.begun), (2, 2))
        self.assertEqual((batch.withdraw(), batch.begun), (0, 2))
        self.assertEqual(os.read(self.lua, 1), RUN_OUT)
        self.assertEqual(batch.close(), 2)

    def test_batch_that_ends_early(self) -> None:
        """What is left when a batch ends has not begun, and the next batch finds nothing of it."""
        batch = Batch(self.claims, 4)
        self.assertEqual(batch.close(), 1)
        cut = Batch(self.claims, 3)
        cut.withdraw()
        self.assertEqual(cut.close(), 1)
        self.assertEqual(self.claims.left, 0)

    def test_kept_from_children(self) -> None:
        """Programs that scripts start do not get what Lua has opened."""
        os.set_inheritable(self.lua, True)
        self.claims.keep_from_children()
        self.assertFalse(os.get_inheritable(self.lua))


class CountingRunner(BatchRunner):
    """A runner that notes how many requests each batch has."""

    sizes: list[int]
    is_closed = False

    def close(self) -> None:
        """See :class:`BatchRunner`."""
        super().close()
        self.is_closed = True

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """See :class:`BatchRunner`."""
        self.sizes.append(len(requests))
        return super().run_batch(requests)


class BatchCase(SynchronousTestCase):
    """A pool whose runners run scripts of a folder, each of which notes first that it has begun."""

    size: ClassVar[int] = 2
    limit: ClassVar[float | None] = None
    options: ClassVar[LuaOptions] = LuaOptions(version=VERSION, sandbox=False, timeout=0)
    claims_path = b""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.log = self.folder / "log"
        for name, text in SCRIPTS.items():
            self.write(name, text)
        self.begin()

    def write(self, name: str, text: str) -> None:
        """Write a script."""
        (self.folder / f"{name}.lua").write_text(NOTE.format(log=self.log) + text)

    def begin(self) -> None:
        """Make a new pool, with nothing noted."""
        self.log.write_bytes(b"")
        self.reactor = HandReactor()
        self.finished: dict[str, Outcome | None] = {}
        self.order: list[str] = []
        self.sizes: list[int] = []
        self.runners: list[CountingRunner] = []
        self.pool = Pool(cast("Reactor", self.reactor), self.size, self.make_runner, self.note, self.limit)
        self.pool.start()
        self.addCleanup(self.pool.abandon)

    def make_runner(self) -> CountingRunner:
        """Make a runner."""
        claims = Claims()
        claims.path = self.claims_path or claims.path
        scripts = Scripts(self.folder, rest=0.0)
        versions = Versions(scripts, False, self.answer)
        runner = CountingRunner(versions, LuaRunner(self.options, self.answer, (), claims), claims)
        runner.sizes = self.sizes
        self.runners.append(runner)
        return runner

    def answer(self, _request: Request, octets: bytes) -> bytes:
        """Answer a call."""
        return octets

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Note what came of a request, by its context."""
        self.assertNotIn(request.context.decode(), self.finished)
        self.finished[request.context.decode()] = outcome
        self.order.append(request.context.decode())

    def submit(self, *requests: tuple[str, str]) -> None:
        """Submit requests, each a subject and a context, in one turn."""
        for subject, context in requests:
            request = Request(b"", b"", subject.encode(), b"", (context.encode(),), arrived=time.monotonic())
            self.pool.submit(request)
        self.reactor.turn()

    def until(self, holds: Callable[[], bool]) -> None:
        """Do what threads want done, and let time pass, until something holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            self.reactor.step()

    def finish(self, count: int) -> None:
        """Go on until so many requests are finished."""
        self.until(lambda: len(self.finished) >= count)

    def began(self) -> Counter[str]:
        """Return how often each request has begun."""
        return Counter(self.log.read_text().split())

    def warm_up(self, *subjects: str) -> None:
        """Let the runner know that scripts are quick and leave nothing to be told."""
        for subject in subjects or ("quick",):
            for number in range(10):
                self.submit((subject, f"warm-{subject}-{number}"))
                self.finish(len(self.finished) + 1)
        self.finished.clear()
        self.order.clear()
        self.log.write_bytes(b"")

    def gate(self) -> Path:
        """Return a new FIFO; who opens it waits until :meth:`open`."""
        path = self.folder / f"gate{len(list(self.folder.glob('gate*')))}"
        os.mkfifo(path)
        self.addCleanup(self.open, path)
        return path

    def open(self, gate: Path) -> None:
        """Let go on who waits at a gate."""
        with ignoring(OSError):  # nobody waits there
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))


class OneThreadTests(BatchCase):
    """A pool of one thread, so that it is known what waits when the thread looks."""

    size = 1

    def test_in_one_go(self) -> None:
        """Quick requests that wait are run in few calls, in order, each once."""
        self.warm_up()
        names = [f"r{number}" for number in range(100)]
        self.submit(*(("quick", name) for name in names))
        self.finish(100)
        self.assertEqual(self.order, names)
        self.assertEqual(self.began(), Counter(names))
        self.assertGreater(max(self.sizes), 4)
        for outcome in self.finished.values():
            assert outcome is not None
            self.assertEqual(outcome, Outcome(seconds=outcome.seconds))

    def test_mentions(self) -> None:
        """What comments and strings mention is not used, so it is no reason to run a script by itself."""
        self.warm_up("mentions")
        self.submit(*(("mentions", f"r{number}") for number in range(20)))
        self.finish(20)
        self.assertGreater(max(self.sizes, default=0), 1)

    def test_known_scripts_only(self) -> None:
        """What was never run, or told something when it last was, is run by itself."""
        self.submit(*(("quick", f"q{number}") for number in range(3)))
        self.finish(3)
        self.sizes.clear()
        self.submit(*(("tells", f"t{number}") for number in range(20)))
        self.finish(23)
        self.assertEqual(self.sizes, [])

    def test_no_pipe(self) -> None:
        """Where Lua cannot open the pipe, scripts run one by one."""
        self.claims_path = b"/dev/fd/none"
        self.begin()
        self.warm_up()
        self.submit(*(("quick", f"r{number}") for number in range(20)))
        self.finish(20)
        self.assertEqual(self.sizes, [])

    def test_one_that_tells(self) -> None:
        """What a request of a batch leaves to be told is its own, and those behind it are run."""
        self.warm_up("quick", "may_tell")
        names = ["a", "told1", "b", "c", "told2", "d"]
        self.submit(*(("may_tell", name) for name in names))
        self.finish(6)
        outputs = {name: outcome.output for name, outcome in self.finished.items() if outcome}
        self.assertEqual(outputs, {name: f"{name}\n".encode() * name.startswith("told") for name in names})
        self.assertEqual((self.order, self.began()), (names, Counter(names)))

    def test_one_that_fails(self) -> None:
        """A request of a batch that fails is the one that has failed."""
        self.warm_up("may_fail")
        names = ["a", "b", "bad", "c"]
        self.submit(*(("may_fail", name) for name in names))
        self.finish(4)
        failed = [name for name, outcome in self.finished.items() if outcome is None or outcome.error is not None]
        self.assertEqual((failed, self.began()), (["bad"], Counter(names)))

    def test_told_while_another_runs(self) -> None:
        """Those in front of one that takes long are finished while it runs, and those behind it when it has ended."""
        self.warm_up("quick", "may_wait")
        gate = self.gate()
        self.submit(("quick", "a"), ("quick", "b"), ("may_wait", str(gate)), ("quick", "c"), ("quick", "d"))
        self.finish(2)
        self.until(lambda: str(gate) in self.began())
        self.assertEqual(self.order, ["a", "b"])
        self.open(gate)
        self.finish(5)
        self.assertEqual(self.order, ["a", "b", str(gate), "c", "d"])
        self.assertEqual(set(self.began().values()), {1})

    def test_edit(self) -> None:
        """A version that was saved before a request came is what runs, though the one before was known to be quick."""
        self.warm_up()
        self.submit(("quick", "old1"), ("quick", "old2"))
        self.finish(2)
        self.write("quick", "print('new')")
        self.submit(*(("quick", f"new{number}") for number in range(5)))
        self.finish(7)
        outputs = [outcome.output for name, outcome in self.finished.items() if outcome and name.startswith("new")]
        self.assertEqual(outputs, [b"new\n"] * 5)

    def test_large_contexts(self) -> None:
        """Long contexts are not handed over together, nor with others."""
        self.warm_up()
        names = [str(number) * 30_000 for number in range(1, 7)]
        self.submit(*(("quick", name) for name in names))
        self.finish(6)
        self.assertEqual(self.began(), Counter(names))
        self.assertLessEqual(max(self.sizes, default=0), 2)

    def test_stop(self) -> None:
        """A pool that stops finishes what is in a batch and behind it."""
        self.warm_up()
        names = [f"r{number}" for number in range(100)]
        self.submit(*(("quick", name) for name in names))
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.until(lambda: bool(stopped))
        self.assertEqual(self.order, names)


class TwoThreadsTests(BatchCase):
    """A pool in which others can run what one thread has taken and not begun."""

    def test_one_that_takes_long(self) -> None:
        """One that takes long holds up nobody: the other thread runs those behind it."""
        self.warm_up("quick", "may_wait")
        gate = self.gate()
        names = [f"r{number}" for number in range(20)]
        self.submit(("quick", "a"), ("may_wait", str(gate)), *(("quick", name) for name in names))
        self.finish(21)
        self.assertNotIn(str(gate), self.finished)
        self.open(gate)
        self.finish(22)
        self.assertEqual(self.began(), Counter(["a", str(gate), *names]))

    def test_abandon(self) -> None:
        """When nobody waits any more, a thread that comes back does not begin what was behind it."""
        self.warm_up("quick", "may_wait")
        gates = [self.gate(), self.gate()]
        self.submit(*(("may_wait", str(gate)) for gate in gates), *(("quick", f"r{number}") for number in range(20)))
        self.until(lambda: {str(gate) for gate in gates} <= set(self.began()))
        begun = self.began()
        self.pool.abandon()
        for gate in gates:
            self.open(gate)
        self.until(lambda: all(runner.is_closed for runner in self.runners))
        self.assertEqual(self.began(), begun)


class TellingTests(BatchCase):
    """A script in the middle of a batch that tells something before it has ended."""

    size = 1
    options: ClassVar[LuaOptions] = LuaOptions(version=VERSION, sandbox=False, timeout=10_000, tells=True)

    def answer(self, request: Request, octets: bytes) -> bytes:
        """Take note of what is told, and how many had ended by then."""
        _, what, told = unpack(octets)
        self.assertEqual(what, TOLD)
        self.told.append((request.context, [send.subject for send in OUTCOMES.decode(told).sends]))
        return pack((OK,))

    def test_in_the_middle(self) -> None:
        """It is told of the request that runs, and all others are run once."""
        self.told: list[tuple[bytes, list[bytes]]] = []
        text = (
            "if alaskaContext == '5' then send('begin', 1) local e = os.clock() + 0.1 while os.clock() < e do end "
            "send('end', 2) end"
        )
        self.write("turns", text)
        while max(self.sizes, default=0) <= 1:  # where the machine is busy, no script is known to be quick
            self.told.clear()
            self.warm_up("turns")
            self.submit(*[("turns", str(number)) for number in range(10)])
            self.finish(10)
            self.assertEqual(self.told[0], (b"5", [b"begin"]))
            last = self.finished["5"]
            assert last is not None
            sent = [subject for context, subjects in self.told for subject in subjects if context == b"5"]
            self.assertEqual([*sent, *(send.subject for send in last.sends)], [b"begin", b"end"])
            self.assertEqual(set(Counter(self.order).values()), {1})


class StuckTests(BatchCase):
    """A script that nothing can end, in the middle of a batch."""

    size = 1
    limit = 0.05

    def test_given_up(self) -> None:
        """It alone is given up: what was in front of it is done, what is behind it is run by another thread."""
        self.warm_up("quick", "may_wait")
        gate = self.gate()
        self.submit(("quick", "a"), ("may_wait", str(gate)), *(("quick", f"r{number}") for number in range(10)))
        now = 0.0
        while len(self.finished) < 12:
            now += 0.04
            self.pool.watch(now)
            self.reactor.step()
        stuck = self.finished[str(gate)]
        assert stuck is not None
        self.assertIsInstance(stuck.error, LimitExceeded)
        self.assertEqual([name for name, each in self.finished.items() if each and each.error], [str(gate)])
        self.open(gate)
        self.until(lambda: self.pool.lost == 0)
        self.assertEqual(set(self.began().values()), {1})


class AnyTests(BatchCase):
    """Whatever comes together."""

    size = 3

    @given(st.lists(st.sampled_from(["quick", "quick", "quick", "may_tell", "may_fail", "tells", "fails", "none"])))
    @settings(max_examples=examples(20), deadline=None)
    def test_each_once(self, subjects: list[str]) -> None:
        """Each request begins once, and its outcome is its own."""
        self.begin()
        self.warm_up("quick", "may_tell", "may_fail")
        words = {"may_tell": "told", "may_fail": "bad"}
        requests = [
            (each, f"{number}-{words.get(each, '') if number % 2 else ''}") for number, each in enumerate(subjects)
        ]
        self.submit(*requests)
        self.finish(len(requests))
        self.assertEqual(self.began(), Counter(context for subject, context in requests if subject != "none"))
        for subject, context in requests:
            outcome = self.finished[context]
            assert outcome is not None
            self.assertEqual(outcome.error is not None, subject in {"fails", "none"} or "bad" in context, context)
            self.assertEqual(outcome.output.decode(), f"{context}\n" if "told" in context else "")
            self.assertEqual([send.subject.decode() for send in outcome.sends], [context] * (subject == "tells"))
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.until(lambda: bool(stopped))
