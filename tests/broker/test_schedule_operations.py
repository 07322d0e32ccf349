"""What administrators see of schedules, and do with them, in-band."""

from __future__ import annotations

from alaska.broker import schedule_operations
from alaska.schedules.schedule import MOST_SCHEDULES, Plan, parse
from tests.broker.broker_case import OFFER
from tests.broker.test_administration import AdministrationCase
from tests.broker.test_schedules import HOUR, NOON


class ScheduleOperationTests(AdministrationCase):
    """A broker with schedules at noon."""

    def setUp(self) -> None:
        super().setUp()
        lines = "nightly '0 3 * * *' zone=Europe/Berlin missed=once svc report {}", "often '* * * * *' svc x"
        self.broker.schedules.configure(Plan(tuple(map(parse, lines))))
        self.broker.tick(self.now, NOON)

    def names(self, **arguments: object) -> list[str]:
        """Return the names that are listed."""
        return [each["name"] for each in self.ask("schedules", **arguments)["items"]]

    def test_listed(self) -> None:
        """A schedule is shown with its next times, but not with the content of its requests."""
        first, second = self.ask("schedules", next=2)["items"]
        self.assertEqual(
            first,
            {
                "name": "nightly", "source": "file", "cron": "0 3 * * *", "zone": "Europe/Berlin", "service": "svc",
                "subject": "report", "octets": 2, "missed": "once", "overlap": "queue", "paused": False,
                "running": False, "next": [NOON + 14 * HOUR, NOON + 38 * HOUR], "last": None, "last_missed": None,
                "counts": {"fired": 0, "missed": 0, "skipped": 0}, "fault": "",
            },
        )  # fmt: skip
        self.assertEqual((second["zone"], second["next"]), ("UTC", [NOON + 60.0, NOON + 120.0]))
        overview = self.ask("overview")
        self.assertEqual((overview["schedules"], overview["totals"]["schedules"]["fired"]), (2, 0))

    def test_state(self) -> None:
        """Whether the last request runs, and what has become of the others, is shown."""
        for minute in (1, 2):
            self.broker.tick(self.now, NOON + 60.0 * minute)
        (item,) = self.ask("schedules", match="often")["items"]
        self.assertEqual((item["running"], item["last"], item["counts"]["fired"]), (True, NOON + 120.0, 2))

    def test_pages(self) -> None:
        """Pages follow each other by name, and many next times are found in several turns."""
        lines = [f"n{number:02} '* * * * *' svc x" for number in range(25)]
        self.broker.schedules.configure(Plan(tuple(map(parse, lines))))
        self.broker.tick(self.now, NOON)
        first = self.ask("schedules", limit=10, next=20)
        self.assertEqual((first["total"], len(first["items"][9]["next"])), (25, 20))
        self.assertEqual(self.names(limit=10, after=first["next"])[0], "n10")
        self.assertEqual(self.names(match="^n2"), ["n20", "n21", "n22", "n23", "n24"])

    def test_added(self) -> None:
        """A schedule is added with all that it can have, and removed."""
        given: dict[str, object] = {
            "name": "new",
            "cron": "@daily",
            "service": "svc",
            "subject": "s",
            "content": '{"a": "ö"}',
        }
        given |= {"zone": "Asia/Tokyo", "missed": "once", "overlap": "skip", "paused": True}
        self.assertEqual(
            self.ask("add-schedule", **given), {"done": True, "count": None, "note": "until the broker ends"}
        )
        (item,) = self.ask("schedules", match="new")["items"]
        self.assertEqual(
            item, item | {"source": "command", "octets": 11, "zone": "Asia/Tokyo", "next": [], "paused": True}
        )
        self.assertTrue(self.ask("remove-schedule", name="new")["done"])
        self.assertEqual(self.names(), ["nightly", "often"])

    def test_not_added(self) -> None:
        """What is not valid, has a name that is taken, or is one too many is refused with a sentence."""
        good = {"name": "new", "cron": "@daily", "service": "svc", "subject": "s"}
        for wrong, status, reason in (
            ({"cron": "61 * * * *"}, 500, "bad minute"),
            ({"zone": "Europe/Berln"}, 500, "there is no time zone"),
            ({"name": "a b"}, 500, "the name of a schedule"),
            ({"name": "often"}, 400, "there is a schedule often already"),
            ({"service": ""}, 500, "the service has 1 to 255 octets"),
            ({"content": "x" * 9000}, 500, "at most 8192 octets"),
            ({"missed": "ones"}, 500, "missed"),
            ({"more": 1}, 500, "more"),
        ):
            got = self.ask("add-schedule", **(good | wrong))
            self.assertEqual(got["status"], status, wrong)
            self.assertIn(reason, got["error"])
        self.patch(schedule_operations, "MOST_SCHEDULES", 2)
        self.assertEqual(self.ask("add-schedule", **good)["status"], 301)
        self.assertEqual(MOST_SCHEDULES, 1000)

    def test_of_file(self) -> None:
        """A schedule of the file can be paused and resumed, and not removed."""
        self.assertEqual(self.ask("remove-schedule", name="often")["status"], 400)
        self.assertTrue(self.ask("pause-schedule", name="often")["done"])
        self.assertEqual(self.ask("pause-schedule", name="often")["status"], 400)
        (item,) = self.ask("schedules", match="often")["items"]
        self.assertEqual((item["paused"], item["next"]), (True, []))
        self.assertTrue(self.ask("resume-schedule", name="often")["done"])
        self.assertEqual(self.ask("resume-schedule", name="often")["status"], 404)

    def test_run(self) -> None:
        """A request is made at once; with overlap=skip, only if the last one has ended."""
        self.broker.schedules.configure(Plan((parse("n '@yearly' overlap=skip svc x"),)))
        self.broker.tick(self.now, NOON)
        self.assertEqual(self.ask("run-schedule", name="n"), {"done": True, "count": 1, "note": ""})
        self.assertEqual(self.ask("run-schedule", name="n")["status"], 400)
        self.open("w", OFFER, credit=1)
        self.assertEqual(self.taken("w"), [b"x"])
        self.broker.queues.is_draining = True
        self.broker.schedules.configure(Plan((parse("n '@yearly' svc x"),)))
        self.assertEqual(self.ask("run-schedule", name="n")["status"], 301)

    def test_force(self) -> None:
        """By force, another request is made although the last one has not ended; the schedule waits for the new one."""
        self.broker.schedules.configure(Plan((parse("n '* * * * *' overlap=skip svc x"),)))
        self.broker.tick(self.now, NOON)
        self.ask("run-schedule", name="n")
        self.broker.tick(self.now, NOON + 1)
        done = {"done": True, "count": 1, "note": ""}
        self.assertEqual(self.ask("run-schedule", name="n", force=True), done)
        self.broker.tick(self.now, NOON + 60)
        (item,) = self.ask("schedules")["items"]
        self.assertEqual((item["running"], item["counts"]), (True, {"fired": 2, "missed": 0, "skipped": 1}))
        self.open("w", OFFER, credit=2)
        self.assertEqual(self.taken("w"), [b"x", b"x"])

    def test_same_moment(self) -> None:
        """Two requests of the same moment are one, which is said."""
        self.broker.schedules.configure(Plan((parse("n '@yearly' svc x"),)))
        self.broker.tick(self.now, NOON)
        self.ask("run-schedule", name="n")
        self.assertIn("at this moment", self.ask("run-schedule", name="n", force=True)["error"])

    def test_unknown(self) -> None:
        """Nothing can be done with a schedule that there is not."""
        for operation in ("remove-schedule", "run-schedule", "pause-schedule", "resume-schedule"):
            self.assertEqual(self.ask(operation, name="none")["status"], 404)
