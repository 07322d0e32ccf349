"""Finding messages that have ended, and what has happened to messages before."""

from __future__ import annotations

from typing import Any

from alaska import errors
from alaska.broker import measures as measures_module
from alaska.broker import past as past_module
from alaska.broker.measures import BrokerTime, QueueMeasures
from alaska.broker.past import Past
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, mail, request
from tests.broker.test_cancelling import WALL, MessagesCase, delayed


class FinishedTests(MessagesCase):
    """Messages that have ended."""

    def one(self, text: str) -> Any:
        """Return the only message that is found."""
        (one,) = self.ask("find", text=text)["finished"]
        return one

    def steps(self, text: str) -> list[tuple[str, str, str]]:
        """Return what has happened to what is found: what, the worker, and the reason."""
        return [(each["what"], each["worker"], each["reason"]) for each in self.ask("find", text=text)["steps"]]

    def pass_to(self, now: float) -> None:
        """Let it be this time."""
        self.now = now
        self.broker.tick(now, WALL + now)

    def test_succeeded(self) -> None:
        """A request that has succeeded is found by tracker, subject and position, with worker and times."""
        self.pass_to(1.0)
        self.do("s", request(b"job", b"t1"))
        self.pass_to(2.0)
        lease = self.worker()
        self.pass_to(4.0)
        self.confirm(lease, 200)
        for text in ("t1", "job", "1"):
            one = self.one(text)
            self.assertEqual(
                (one["outcome"], one["status"], one["worker"], one["attempts"]), ("succeeded", 200, "w", 1)
            )
            self.assertEqual((one["sender"], one["tracker"], one["address"]), ("s", "t1", "svc"))
            self.assertEqual([one["since"] - WALL, one["delivered"] - WALL, one["time"] - WALL], [1.0, 2.0, 4.0])
            self.assertIsNone(one["answer"])
        self.assertEqual(self.ask("find", text="other")["finished"], [])

    def test_others(self) -> None:
        """So are those that have expired, were cancelled or purged; what the sender was told is shown."""
        self.do("s", request(b"late", b"t1", timeout=1000), request(b"gone", b"t2"), request(b"all", b"t3"))
        self.pass_to(1.2)
        self.ask("cancel", tracker="t2")
        self.ask("purge", kind="service", name="svc")
        found = [self.one(text) for text in ("late", "gone", "all")]
        self.assertEqual([(each["outcome"], each["status"], each["worker"]) for each in found],
                         [("expired", 302, ""), ("cancelled", 410, ""), ("purged", 300, "")])  # fmt: skip
        self.assertEqual([each["delivered"] for each in found], [None] * 3)

    def test_cancelled_while_it_ran(self) -> None:
        """One that was cancelled while a worker had it is found with the worker."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.ask("cancel", tracker="t1")
        self.confirm(lease, 410)
        self.assertEqual([self.one("t1")[key] for key in ("outcome", "worker")], ["cancelled", "w"])

    def test_failed(self) -> None:
        """A failed one is found as a dead letter only; when it is dropped, as one that has failed."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.do("w", mlm.Confirm(b"", 500, b"why", {"lease": lease}))
        found = self.ask("find", text="t1")
        self.assertEqual((len(found["letters"]), found["finished"]), (1, []))
        self.ask("drop-letter", position=1)
        one = self.one("t1")
        self.assertEqual([one[key] for key in ("outcome", "reason", "worker")], ["failed", "why", "w"])

    def test_retried(self) -> None:
        """Of one that was tried again, the attempts are known, with their workers and reasons, also after its end."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.do("w", mlm.Confirm(b"", 300, b"no disk", {"lease": lease, "delay": 1000, "spent": 1}))
        self.assertEqual(self.steps("t1"), [("retried", "w", "no disk")])
        self.pass_to(self.now + 1.2)
        self.do("w", mlm.Credit(1))
        (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.do("w", mlm.Confirm(b"", 300, b"busy", {"lease": delivery.properties["lease"], "delay": 1000}))
        self.pass_to(self.now + 1.2)
        self.do("w", mlm.Credit(1))
        (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.do("w", mlm.Confirm(b"", 200, b"", {"lease": delivery.properties["lease"]}))
        self.assertEqual([self.one("t1")[key] for key in ("outcome", "attempts", "snoozes")], ["succeeded", 2, 1])
        self.assertEqual(self.steps("t1"), [("retried", "w", "no disk"), ("snoozed", "w", "busy")])

    def test_lost(self) -> None:
        """That a worker was lost, or has returned it, is known while the message waits again."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.do("w", mlm.Confirm(b"", 300, b"", {"lease": lease}), mlm.Credit(1))
        self.do("w", mlm.ConnectionClose())
        self.assertEqual(self.steps("t1"), [("returned", "w", ""), ("lost", "w", "")])

    def test_progress(self) -> None:
        """The last progress of each delivery is known."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        for reason in (b"0.1 begun", b"0.5 half"):
            self.do("w", mlm.Confirm(b"", 206, reason, {"lease": lease}))
        self.assertEqual(self.steps("t1"), [("progress", "w", "50 % half")])
        self.confirm(lease, 200)
        self.assertEqual(self.steps("t1"), [("progress", "w", "50 % half")])

    def test_answer(self) -> None:
        """The answer of a request is known: who has asked has it, or has taken it."""
        self.do("s", mlm.Credit(1))
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.do("w", mail(b"a", b"s", b"t1"))
        self.confirm(lease, 200)
        found = self.ask("find", text="a")["finished"]
        self.assertEqual([(each["answer"], each["answer_state"]) for each in found], [(2, "delivered")])
        (answer,) = [each for each in self.take("s") if isinstance(each, mlm.MailboxDeliver)]
        self.confirm(int(str(answer.properties["lease"])), 200, "s")
        request_, answer_ = self.ask("find", text="t1")["finished"]
        self.assertEqual((request_["answer"], request_["answer_state"]), (2, "taken"))
        self.assertEqual((answer_["queue"], answer_["position"], answer_["worker"]), ("mailbox", 2, "s"))

    def test_plain_worker(self) -> None:
        """A request to a worker that does not confirm ends when it is sent."""
        self.open("plain", OFFER)
        self.do("s", request(b"a", b"t1"))
        self.assertEqual([self.one("t1")[key] for key in ("outcome", "worker")], ["delivered", "plain"])

    def test_replaced(self) -> None:
        """One that a later one with its id has replaced is found by this id."""
        for tracker in (b"t0", b"t1"):
            command = delayed(b"a", tracker, id=b"x")
            command.properties["unique-mode"] = b"replace"
            self.do("s", command)
        self.assertEqual([self.one("x")[key] for key in ("outcome", "tracker")], ["replaced", "t0"])

    def test_many(self) -> None:
        """Of many that succeed at once, some are kept; after a second, as many more as are allowed for a second."""
        self.patch(measures_module, "KEPT_PER_SECOND", 2)
        self.open("w", OFFER, credit=100)
        self.broker.queues.measures.services[b"svc"].room = 3
        for now in (0.0, 1.0):
            self.pass_to(now)
            for number in range(5):
                tracker = b"%d %d" % (now, number)
                self.do("s", request(b"same", tracker))
                self.do("w", mlm.Confirm(tracker, 200, b""))
        found = [each["tracker"] for each in self.ask("find", text="same")["finished"]]
        self.assertEqual(found, ["0 0", "0 1", "0 2", "1 0", "1 1"])


class BoundedTests(MessagesCase):
    """Limits of what is kept."""

    def message(self, position: int = 1, content: bytes = b"x") -> Message:
        """Return a request with some properties."""
        properties: mlm.Properties = {"id": b"id", "h-a": b"b"}
        queue = QueueName(QueueKind.SERVICE, b"svc")
        return Message(position, queue, b"s", b"job", b"t", (content,), properties=properties, attempts=1)

    def test_number(self) -> None:
        """The number of messages is limited, those that did not simply succeed for themselves; so are the steps."""
        for name in ("MOST_ENDED", "MOST_WITH_STEPS", "MOST_STEPS"):
            self.patch(past_module, name, 3)
        past = Past(lambda: 1.0)
        for position in range(5):
            message = self.message(position)
            past.keep_request(message, "succeeded", 200, b"w", 1.0)
            past.keep(message, "failed", 500)
            for _ in range(5):
                past.step(message, "lost", b"w")
        self.assertEqual([each.message.position for each in past.ended(lambda _: True)], [2, 3, 4, 2, 3, 4])
        self.assertEqual([len(past.steps(position)) for position in range(5)], [0, 0, 3, 3, 3])

    def test_not_confirmed(self) -> None:
        """Messages that nobody confirms push out no failures, and of many in a short time only some are kept."""
        self.patch(past_module, "MOST_ENDED", 3)
        past = Past(lambda: 1.0)
        measures = QueueMeasures(BrokerTime(), past, past.keep_request)
        measures.room = 4
        measures.note_ended(self.message(), "failed", 500, b"")
        for position in range(2, 10):
            measures.note_finished(self.message(position), errors.DELIVERED, 1.0, b"w")
        self.assertEqual([each.message.position for each in past.ended(lambda _: True)], [3, 4, 5, 1])
        self.assertEqual(measures.ended, {"failed": 1, "delivered": 8})

    def test_octets(self) -> None:
        """Of a large message, neither content nor properties are kept, but for the id; reasons are cut."""
        past = Past(lambda: 1.0)
        large = self.message(content=b"x" * past_module.MOST_OCTETS)
        past.keep(large, "failed", 500, b"r" * 1000)
        past.keep_request(large, "succeeded", 200, b"w", 1.0)
        past.step(large, "retried", b"w", b"r" * 1000)
        for each in past.ended(lambda _: True):
            self.assertEqual((each.message.content, each.message.properties), ((), {"id": b"id"}))
            self.assertEqual((each.message.size, each.message.attempts), (large.size, 1))
            self.assertLessEqual(len(each.reason), past_module.MOST_REASON_OCTETS)
        self.assertEqual(len(past.steps(1)[0].reason), past_module.MOST_REASON_OCTETS)
        self.assertEqual(len(large.content[0]), past_module.MOST_OCTETS)
