"""Batching: no request is lost or run twice, and none waits behind a slow script."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from alaska.errors import LimitExceeded
from alaska.lua.options import LuaOptions
from alaska.lua.questions import CANCELLED, OK, PARTIAL, pack, unpack
from alaska.lua.request import Outcome, Request
from alaska.lua.values import OUTCOMES
from alaska.pool import batches
from tests import examples
from tests.lua.lua_case import VERSION
from tests.pool.batch_case import BatchCase


class OneThreadTests(BatchCase):
    """A pool of one thread, so that the size of the queue is known when the thread reads it."""

    size = 1

    def test_batched(self) -> None:
        """Short requests that wait are run in few batches, in order, each once."""
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
        """Names in comments and strings do not keep a script from being batched."""
        self.warm_up("mentions")
        self.submit(*(("mentions", f"r{number}") for number in range(20)))
        self.finish(20)
        self.assertGreater(max(self.sizes, default=0), 1)

    def test_known_scripts_only(self) -> None:
        """A script is not batched if it never ran before, or produced something in its last run."""
        self.submit(*(("quick", f"q{number}") for number in range(3)))
        self.finish(3)
        self.sizes.clear()
        self.submit(*(("tells", f"t{number}") for number in range(20)))
        self.finish(23)
        self.assertEqual(self.sizes, [])

    def test_no_pipe(self) -> None:
        """If Lua cannot open the pipe of claims, scripts are not batched."""
        self.claims_path = b"/dev/fd/none"
        self.begin()
        self.warm_up()
        self.submit(*(("quick", f"r{number}") for number in range(20)))
        self.finish(20)
        self.assertEqual(self.sizes, [])

    def test_one_with_output(self) -> None:
        """The output of a request in a batch is reported as its own, and the requests behind it are run."""
        self.warm_up("quick", "may_tell")
        names = ["a", "told1", "b", "c", "told2", "d"]
        self.submit(*(("may_tell", name) for name in names))
        self.finish(6)
        outputs = {name: outcome.output for name, outcome in self.finished.items() if outcome}
        self.assertEqual(outputs, {name: f"{name}\n".encode() * name.startswith("told") for name in names})
        self.assertEqual((self.order, self.began()), (names, Counter(names)))

    def test_one_that_fails(self) -> None:
        """If a request in a batch fails, only this request is reported as failed."""
        self.warm_up("may_fail")
        names = ["a", "b", "bad", "c"]
        self.submit(*(("may_fail", name) for name in names))
        self.finish(4)
        failed = [name for name, outcome in self.finished.items() if outcome is None or outcome.error is not None]
        self.assertEqual((failed, self.began()), (["bad"], Counter(names)))

    def test_progress(self) -> None:
        """Requests in front of a slow script are reported while it runs, those behind it after its end."""
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
        """A batch runs the version of a script that was saved before its requests arrived."""
        self.warm_up()
        self.submit(("quick", "old1"), ("quick", "old2"))
        self.finish(2)
        self.write("quick", "print('new')")
        self.submit(*(("quick", f"new{number}") for number in range(5)))
        self.finish(7)
        outputs = [outcome.output for name, outcome in self.finished.items() if outcome and name.startswith("new")]
        self.assertEqual(outputs, [b"new\n"] * 5)

    def test_large_contexts(self) -> None:
        """Requests with large contexts are not batched."""
        self.warm_up()
        names = [str(number) * 30_000 for number in range(1, 7)]
        self.submit(*(("quick", name) for name in names))
        self.finish(6)
        self.assertEqual(self.began(), Counter(names))
        self.assertLessEqual(max(self.sizes, default=0), 2)

    def test_stop(self) -> None:
        """A stopping pool finishes the requests in a batch and behind it."""
        self.warm_up()
        names = [f"r{number}" for number in range(100)]
        self.submit(*(("quick", name) for name in names))
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.until(lambda: bool(stopped))
        self.assertEqual(self.order, names)


class TwoThreadsTests(BatchCase):
    """A pool in which one thread can run the requests that another has taken and not begun."""

    def test_one_that_takes_long(self) -> None:
        """Requests behind a slow script in a batch are run by the other thread."""
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
        """After the pool was abandoned, a thread does not begin the rest of its batch."""
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


class PartialResultTests(BatchCase):
    """A script in the middle of a batch that passes on partial results while it runs."""

    size = 1
    options: ClassVar[LuaOptions] = LuaOptions(version=VERSION, sandbox=False, timeout=10_000, partial_results=True)

    def answer(self, request: Request, octets: bytes) -> bytes:
        """Record a partial result; no request is cancelled."""
        _, what, *values = unpack(octets)
        if what == CANCELLED:
            return pack((OK,))
        self.assertEqual(what, PARTIAL)
        (told,) = values
        self.partial.append((request.context, [send.subject for send in OUTCOMES.decode(told).sends]))
        return pack((OK,))

    def test_in_the_middle(self) -> None:
        """A partial result belongs to the running request, and all other requests are run once."""
        self.partial: list[tuple[bytes, list[bytes]]] = []
        text = (
            "if alaskaContext == '5' then send('begin', 1) local e = os.clock() + 0.1 while os.clock() < e do end "
            "send('end', 2) end"
        )
        self.write("turns", text)
        self.patch(batches, "BATCH_SECONDS", 1000.0)  # scripts are batched, however slow they are measured
        while max(self.sizes, default=0) <= 1:  # the first requests may come one by one
            self.partial.clear()
            self.warm_up("turns")
            self.submit(*[("turns", str(number)) for number in range(10)])
            self.finish(10)
            self.assertEqual(self.partial[0], (b"5", [b"begin"]))
            last = self.finished["5"]
            assert last is not None
            sent = [subject for context, subjects in self.partial for subject in subjects if context == b"5"]
            self.assertEqual([*sent, *(send.subject for send in last.sends)], [b"begin", b"end"])
            self.assertEqual(set(Counter(self.order).values()), {1})


class StuckTests(BatchCase):
    """A script that cannot be stopped, in the middle of a batch."""

    size = 1
    limit = 0.05

    def test_given_up(self) -> None:
        """Only the stuck request fails; those in front of it are done, and those behind it run in another thread."""
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
        self.until(lambda: self.pool.stuck == 0)
        self.assertEqual(set(self.began().values()), {1})


class AnyTests(BatchCase):
    """Random mixes of scripts."""

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
