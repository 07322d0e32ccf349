"""Operations of administrators that a restart of the broker must not undo when they are answered."""

from __future__ import annotations

import json

from alaska.broker.stored_answers import NOT_STORED
from alaska.mlm import commands as mlm
from tests.broker.file_case import InFile
from tests.broker.test_administration import ADMIN, AdministrationCase
from tests.store.kinds import FileKind

NIGHTLY = {"name": "nightly", "cron": "0 3 * * *", "service": "svc", "subject": "job"}


class StoredAnswerTests(InFile, AdministrationCase):
    """A store in a file that is written when the test looks at what the broker has sent."""

    def asked(self, operation: str, **arguments: object) -> None:
        """Ask, and check that there is no answer before the file is written, and that there is one then."""
        self.take("admin")
        self.do("admin", mlm.ServiceSend(ADMIN, operation.encode(), b"t1", 0, (json.dumps(arguments).encode(),)))
        for _ in range(5):
            self.broker.tick(self.now, 1e9)
            self.router.end_turn(self.broker)
        self.assertFalse(self.inboxes.get(b"admin"), operation)
        self.assertNotIn("status", self.answer(), operation)
        self.kind.settle()  # the answer is confirmed
        self.restart()
        self.router.is_local = True
        self.broker.tick(self.now, 1e9)
        self.open("admin", credit=1000)

    def test_pause(self) -> None:
        """A service is paused when that was answered, and goes on when that was."""
        self.asked("pause", service="svc")
        self.assertTrue(self.ask("services")["items"][0]["paused"])
        self.asked("resume", service="svc")
        self.assertEqual(self.ask("services")["items"], [])

    def test_schedule(self) -> None:
        """A schedule is there, or paused, or has gone."""
        self.asked("add-schedule", **NIGHTLY)
        self.asked("pause-schedule", name="nightly")
        self.assertTrue(self.ask("schedules")["items"][0]["paused"])
        self.asked("remove-schedule", name="nightly")
        self.assertEqual(self.ask("schedules")["items"], [])

    def test_run(self) -> None:
        """The request of a schedule is there that was made by command."""
        self.asked("add-schedule", **NIGHTLY)
        self.asked("run-schedule", name="nightly")
        self.assertEqual(self.ask("services")["items"][0]["waiting"], 1)

    def test_binding(self) -> None:
        """A binding is there, or has gone."""
        self.asked("bind", stream="s", pattern=".*", service="svc")
        self.assertEqual(len(self.ask("bindings")["items"]), 1)
        self.asked("unbind", stream="s", pattern=".*", service="svc")
        self.assertEqual(self.ask("bindings")["items"], [])

    def test_disk_is_full(self) -> None:
        """While the store cannot be written, the answer comes nevertheless."""
        self.do("admin", mlm.ServiceSend(ADMIN, b"pause", b"t1", 0, (b'{"service": "svc"}',)))
        assert isinstance(self.kind, FileKind)
        self.kind.fail("the disk is full")
        self.broker.tick(self.now)
        self.router.end_turn(self.broker)
        (answer,) = self.inboxes[b"admin"]
        assert isinstance(answer, mlm.MailboxDeliver)
        self.assertIn(NOT_STORED.encode(), answer.content[0])
